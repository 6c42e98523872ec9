import Alert from '@cloudscape-design/components/alert';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { roleIn } from '../session/session';
import { Waiting } from '../ui/waiting';
import { type Figure, inWords, share, useUsage } from './usage';

/** The current project: what it uses, and what the person may do in it. */
export default function ProjectPage() {
  const session = useSession();
  const query = useUsage(session.project.id);
  const role = roleIn(session);
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={t.usage.description}>
          {session.project.name}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{t.usage.of}</Header>}>
          {query.error ? (
            <Alert type="error">{reason(query.error)}</Alert>
          ) : query.data ? (
            <KeyValuePairs
              columns={2}
              items={[
                bar(t.usage.images, query.data.image_count_total, 'count'),
                bar(t.usage.storage, query.data.image_size_total, 'mebibytes'),
                bar(t.usage.uploads, query.data.image_count_uploading, 'count'),
                bar(t.usage.underWay, query.data.image_stage_total, 'mebibytes'),
              ]}
            />
          ) : (
            <Waiting />
          )}
        </Container>
        <Container header={<Header variant="h2">{t.usage.access}</Header>}>
          <KeyValuePairs
            columns={2}
            items={[
              { label: t.usage.role, value: role ? t.roles[role] : t.roles.none },
              { label: t.usage.may, value: t.usage.mayDo(session.may.own) },
              { label: t.columns.id, value: <span className="mono">{session.project.id}</span> },
            ]}
          />
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}

function bar(label: string, figure: Figure, kind: 'count' | 'mebibytes') {
  const part = share(figure);
  const words = inWords(figure, kind);
  if (part === undefined) return { label, value: words };
  return {
    label,
    value: (
      <ProgressBar
        variant="key-value"
        value={part}
        ariaLabel={label}
        description={words}
        status={part >= 100 ? 'error' : 'in-progress'}
        resultText={words}
      />
    ),
  };
}
