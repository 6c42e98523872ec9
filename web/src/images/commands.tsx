import Box from '@cloudscape-design/components/box';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import type { ReactNode } from 'react';
import type { Image } from '../api/client';
import { t } from '../i18n';
import { follow } from '../ui/follow';
import { href } from '../ui/router';

/** The same by command line. */
export function Commands({ image }: { image: Image }) {
  const file = `${safeName(image.name) || image.id}.${image.disk_format ?? 'img'}`;
  const connect = href(['connect']);
  return (
    <SpaceBetween size="l">
      <Box>
        {t.commands.before} <Link {...follow(connect)}>{t.connect.title}</Link>.
      </Box>
      <Command title={t.commands.openstack} text={`openstack image save --file ${file} ${image.id}`} />
      <Command title={t.commands.bullion} text={`bullion image save ${image.id} --file ${file}`} />
      <Command
        title={t.commands.curl}
        text={`curl --fail --location --output ${file} \\\n  --header "X-Auth-Token: $(openstack token issue -f value -c id)" \\\n  ${location.origin}/v2/images/${image.id}/file`}
      />
      {image.os_hash_value && <Command title={t.commands.check} text={`echo "${image.os_hash_value}  ${file}" | sha512sum --check`} />}
    </SpaceBetween>
  );
}

/** Letters that a shell does not read: a name of an image is anybody's text. */
function safeName(name: string): string {
  return name.replace(/[^\w.-]+/g, '_').replace(/^[-.]+/, '');
}

export function Command({ title, text }: { title: ReactNode; text: string }) {
  return (
    <div>
      <SpaceBetween direction="horizontal" size="xs" alignItems="center">
        <Box variant="h3" fontSize="heading-xs">
          {title}
        </Box>
        <CopyToClipboard
          variant="icon"
          textToCopy={text}
          copyButtonAriaLabel={t.copy.of(String(title))}
          copySuccessText={t.copy.done}
          copyErrorText={t.copy.failed}
        />
      </SpaceBetween>
      <pre className="command">{text}</pre>
    </div>
  );
}
