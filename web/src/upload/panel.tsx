import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Drawer from '@cloudscape-design/components/drawer';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { flash } from '../ui/flash';
import { follow } from '../ui/follow';
import { size } from '../ui/format';
import { href } from '../ui/router';
import { useStore } from '../ui/store';
import { Resume, UploadCard } from './card';
import { askPermission, type Permission, permission } from './notify';
import { abandon, interrupted, uploads } from './uploads';

/** All uploads of this tab, and those that an earlier visit left. */
export default function UploadPanel() {
  const all = useStore(uploads);
  const left = useStore(interrupted);
  const [allowed, setAllowed] = useState<Permission>(permission);
  return (
    <Drawer header={<h2>{t.upload.panel}</h2>}>
      <SpaceBetween size="l">
        {all.length === 0 && left.length === 0 && <Box color="text-body-secondary">{t.upload.none}</Box>}
        {allowed === 'default' && all.length > 0 && (
          <Button iconName="notification" variant="inline-link" onClick={() => void askPermission().then(setAllowed)}>
            {t.upload.notify}
          </Button>
        )}
        {left.map((r) => (
          <Alert key={r.image} type="warning" header={<PageLink id={r.image} name={r.imageName} />}>
            <SpaceBetween size="xs">
              <span>{t.upload.interrupted(r.fileName, size(r.size))}</span>
              <SpaceBetween direction="horizontal" size="xs">
                <Resume image={r.image} name={r.imageName} upload={r.upload} />
                <Button onClick={() => void abandon(r).catch((error: unknown) => flash({ type: 'error', content: reason(error) }))}>
                  {t.upload.giveUp}
                </Button>
              </SpaceBetween>
            </SpaceBetween>
          </Alert>
        ))}
        {[...all].reverse().map((item) => (
          <UploadCard key={item.imageId} item={item} header={<PageLink id={item.imageId} name={item.imageName} />} />
        ))}
      </SpaceBetween>
    </Drawer>
  );
}

function PageLink({ id, name }: { id: string; name: string }) {
  const to = href(['images', id]);
  return <Link {...follow(to)}>{name || t.images.unnamed(id.slice(0, 8))}</Link>;
}
