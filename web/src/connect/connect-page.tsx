import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { t } from '../i18n';
import { Command } from '../images/commands';
import { useSession } from '../session/context';

/** How the tools of the command line reach the same images. */
export default function ConnectPage() {
  const session = useSession();
  const clouds = `clouds:
  bullion:
    auth:
      auth_url: ${location.origin}/v3
      username: ${JSON.stringify(session.user.name)}
      project_id: ${JSON.stringify(session.project.id)}
      user_domain_name: Default
    region_name: RegionOne
    identity_api_version: 3
`;
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={t.connect.description}>
          {t.connect.title}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{t.connect.clouds}</Header>}>
          <SpaceBetween size="s">
            <Box>{t.connect.cloudsHint}</Box>
            <Command title="~/.config/openstack/clouds.yaml" text={clouds} />
          </SpaceBetween>
        </Container>
        <Container header={<Header variant="h2">{t.connect.tools}</Header>}>
          <SpaceBetween size="l">
            <Command
              title={t.commands.openstack}
              text={
                'openstack --os-cloud bullion image list\nopenstack --os-cloud bullion image create --disk-format qcow2 --file debian-12.qcow2 debian-12'
              }
            />
            <Command
              title={t.commands.bullion}
              text={'bullion --os-cloud bullion image list\nbullion --os-cloud bullion image create --file debian-12.qcow2 debian-12'}
            />
          </SpaceBetween>
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}
