import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useState } from 'react';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { Metadata, type Pair, pairsOf, problems, propertyOps } from '../create/metadata';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { flash } from '../ui/flash';
import { imageCan, why } from './can';
import { properties } from './facts';
import { patch, refresh } from './queries';

/** The custom properties, shown and edited. */
export function Properties({ image }: { image: Image }) {
  const session = useSession();
  const [draft, setDraft] = useState<Pair[]>();
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');
  const verdict = imageCan.edit(image, session);
  const now = properties(image);

  async function save() {
    if (!draft || problems(draft).length > 0) return;
    setWorking(true);
    setProblem('');
    try {
      const ops = propertyOps(Object.fromEntries(now), draft);
      if (ops.length > 0) await patch(image.id, ops);
      setDraft(undefined);
      flash({ type: 'success', content: t.properties.saved });
      await refresh();
    } catch (error) {
      setProblem(reason(error));
    } finally {
      setWorking(false);
    }
  }

  if (draft) {
    return (
      <SpaceBetween size="l">
        {problem && <Alert type="error">{problem}</Alert>}
        <Metadata pairs={draft} onChange={setDraft} />
        <SpaceBetween direction="horizontal" size="xs">
          <Button variant="link" onClick={() => setDraft(undefined)}>
            {t.cancel}
          </Button>
          <Button variant="primary" loading={working} disabled={problems(draft).length > 0} onClick={() => void save()}>
            {t.save}
          </Button>
        </SpaceBetween>
      </SpaceBetween>
    );
  }
  return (
    <SpaceBetween size="s">
      <Table
        variant="embedded"
        items={now}
        trackBy={([name]) => name}
        wrapLines
        ariaLabels={{ tableLabel: t.image.properties }}
        columnDefinitions={[
          { id: 'name', header: t.properties.name, isRowHeader: true, cell: ([name]) => <span className="mono">{name}</span> },
          { id: 'value', header: t.properties.value, cell: ([, value]) => <span className="prose">{value || '–'}</span> },
        ]}
        empty={<Box color="text-body-secondary">{t.properties.none}</Box>}
      />
      <Button disabled={!verdict.ok} disabledReason={why(verdict)} onClick={() => setDraft(pairsOf(Object.fromEntries(now)))}>
        {t.properties.edit}
      </Button>
    </SpaceBetween>
  );
}
