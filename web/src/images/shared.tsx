import Button from '@cloudscape-design/components/button';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { flash } from '../ui/flash';
import { imageCan } from './can';
import type { MemberStatus } from './filters';
import { answer, refresh } from './queries';

/** Above the list of what others share with the project: what the project said to it, and the answers for those chosen. */
export default function Shared({ now, selected, onChange }: { now: MemberStatus; selected: Image[]; onChange: (m: MemberStatus) => void }) {
  const session = useSession();
  return (
    <SpaceBetween direction="horizontal" size="s">
      <SegmentedControl
        label={t.shared.label}
        selectedId={now}
        options={(['pending', 'accepted', 'rejected'] as const).map((id) => ({ id, text: t.shared[id] }))}
        onChange={({ detail }) => onChange(detail.selectedId as MemberStatus)}
      />
      {selected.length > 0 && selected.every((image) => imageCan.answer(image, session).ok) && <Answers images={selected} now={now} />}
    </SpaceBetween>
  );
}

function Answers({ images, now }: { images: Image[]; now: MemberStatus }) {
  const session = useSession();
  const [working, setWorking] = useState(false);
  async function say(status: MemberStatus) {
    setWorking(true);
    const results = await Promise.allSettled(images.map((image) => answer(image.id, session.project.id, status)));
    const bad = results.find((r) => r.status === 'rejected');
    flash(bad ? { type: 'error', content: reason(bad.reason) } : { type: 'success', content: t.shared.said(status, images.length) });
    setWorking(false);
    await refresh();
  }
  return (
    <SpaceBetween direction="horizontal" size="xs">
      {now !== 'accepted' && (
        <Button loading={working} onClick={() => void say('accepted')}>
          {t.shared.accept}
        </Button>
      )}
      {now !== 'rejected' && (
        <Button loading={working} onClick={() => void say('rejected')}>
          {t.shared.reject}
        </Button>
      )}
    </SpaceBetween>
  );
}
