import Alert from '@cloudscape-design/components/alert';
import Autosuggest from '@cloudscape-design/components/autosuggest';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useState } from 'react';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { atLeast } from '../session/session';
import { flash } from '../ui/flash';
import { ago } from '../ui/format';
import { imageCan } from './can';
import { useOwnerName } from './owners';
import { patch, refresh, share, unshare, useMembers, useProjects } from './queries';

/** With whom the image is shared, and whether they took it. */
export function Members({ image }: { image: Image }) {
  const session = useSession();
  const owner = useOwnerName();
  const verdict = imageCan.share(image, session);
  const listed = image.visibility === 'shared';
  const query = useMembers(image.id, listed);

  if (!listed) {
    const may = imageCan.edit(image, session).ok;
    return (
      <SpaceBetween size="s">
        <Box>{t.members.notShared[image.visibility === 'shared' ? 'private' : image.visibility]}</Box>
        {may && image.visibility !== 'public' && (
          <Button
            onClick={() =>
              void patch(image.id, [{ op: 'replace', path: '/visibility', value: 'shared' }])
                .then(() => refresh())
                .catch((error: unknown) => flash({ type: 'error', content: reason(error) }))
            }
          >
            {t.members.makeShared}
          </Button>
        )}
      </SpaceBetween>
    );
  }
  return (
    <SpaceBetween size="l">
      <Box color="text-body-secondary">{t.members.hint}</Box>
      {verdict.ok && <Share image={image} />}
      {query.isError ? (
        <Alert type="error">{reason(query.error)}</Alert>
      ) : (
        <Table
          variant="embedded"
          loading={query.isPending}
          loadingText={t.members.loading}
          items={query.data ?? []}
          trackBy="member_id"
          ariaLabels={{ tableLabel: t.image.sharing }}
          columnDefinitions={[
            { id: 'project', header: t.members.project, isRowHeader: true, cell: (m) => owner(m.member_id) },
            {
              id: 'status',
              header: t.members.status,
              cell: (m) => (
                <StatusIndicator type={m.status === 'accepted' ? 'success' : m.status === 'rejected' ? 'stopped' : 'pending'}>
                  {t.members.answer[m.status]}
                </StatusIndicator>
              ),
            },
            { id: 'since', header: t.members.since, cell: (m) => ago(m.updated_at) },
            {
              id: 'action',
              header: t.members.action,
              cell: (m) =>
                verdict.ok ? (
                  <Button
                    variant="inline-link"
                    ariaLabel={t.members.removeOf(owner(m.member_id))}
                    onClick={() =>
                      void unshare(image.id, m.member_id)
                        .then(() => refresh())
                        .catch((error: unknown) => flash({ type: 'error', content: reason(error) }))
                    }
                  >
                    {t.members.remove}
                  </Button>
                ) : (
                  '–'
                ),
            },
          ]}
          empty={<Box color="text-body-secondary">{t.members.none}</Box>}
        />
      )}
    </SpaceBetween>
  );
}

function Share({ image }: { image: Image }) {
  const session = useSession();
  const { data } = useProjects(atLeast(session, 'admin'));
  const [project, setProject] = useState('');
  const [problem, setProblem] = useState('');
  const [working, setWorking] = useState(false);
  const known = [...new Map([...session.projects, ...(data ?? [])].map((p) => [p.id, p])).values()].filter((p) => p.id !== image.owner);

  async function add() {
    const wanted = project.trim();
    const id = known.find((p) => p.name === wanted)?.id ?? wanted;
    if (!id) return setProblem(t.members.missing);
    setWorking(true);
    setProblem('');
    try {
      await share(image.id, id);
      setProject('');
      await refresh();
    } catch (error) {
      setProblem(reason(error));
    } finally {
      setWorking(false);
    }
  }

  return (
    <FormField
      label={t.members.add}
      description={t.members.addHint}
      errorText={problem}
      secondaryControl={
        <Button loading={working} onClick={() => void add()}>
          {t.members.share}
        </Button>
      }
    >
      <Autosuggest
        value={project}
        onChange={({ detail }) => setProject(detail.value)}
        options={known.map((p) => ({ value: p.id, label: p.name, description: p.id }))}
        enteredTextLabel={t.members.use}
        placeholder={t.members.placeholder}
        ariaLabel={t.members.add}
      />
    </FormField>
  );
}
