import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, type Project, take } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { refresh } from '../images/queries';
import { flash } from '../ui/flash';
import { integer, size } from '../ui/format';
import { type Figure, limitIn, textOf } from './limits';

/** What a project may use, uses, and took out this month. */
export function useQuota(project: string) {
  return useQuery({
    queryKey: ['usage', 'quota', project],
    queryFn: ({ signal }) => take(api.GET('/v2/quotas/{project}', { params: { path: { project } }, signal })),
  });
}

const figures: Figure[] = ['images', 'bytes', 'uploads', 'in_flight'];

export type Quota = NonNullable<ReturnType<typeof useQuota>['data']>;

/** Changes what a project may use, or gives it back what every project may. */
export function QuotaDialog({ project, quota, onClose }: { project: Project; quota: Quota; onClose: () => void }) {
  const before = Object.fromEntries(figures.map((f) => [f, textOf(f, quota.quota[f])])) as Record<Figure, string>;
  const [texts, setTexts] = useState(before);
  const [working, setWorking] = useState<'save' | 'unset'>();
  const [problem, setProblem] = useState('');
  // A figure that nobody touched stays as it is to the byte, whatever the form makes of it.
  const limits = Object.fromEntries(figures.map((f) => [f, texts[f] === before[f] ? quota.quota[f] : limitIn(f, texts[f])])) as Record<
    Figure,
    number | undefined
  >;
  const { images, bytes, in_flight, uploads } = limits;
  const over = figures.some((f) => (limits[f] ?? -1) >= 0 && (limits[f] ?? 0) < quota.usage[f]);
  const words = (f: Figure, n: number) => (f === 'bytes' || f === 'in_flight' ? size(n) : integer(n));

  async function run(what: 'save' | 'unset', work: () => Promise<unknown>, done: string) {
    setWorking(what);
    setProblem('');
    try {
      await work();
      await refresh(['usage']);
      flash({ type: 'success', content: done });
      onClose();
    } catch (error) {
      setProblem(reason(error));
      setWorking(undefined);
    }
  }

  function save(e: FormEvent) {
    e.preventDefault();
    if (images === undefined || bytes === undefined || in_flight === undefined || uploads === undefined) return;
    const body = { images, bytes, in_flight, uploads };
    const params = { path: { project: project.id } };
    void run('save', () => take(api.PUT('/v2/quotas/{project}', { params, body })), t.quota.saved(project.name));
  }

  const unset = () =>
    run(
      'unset',
      () => take(api.DELETE('/v2/quotas/{project}', { params: { path: { project: project.id } } })),
      t.quota.isUnset(project.name),
    );

  return (
    <Modal
      visible
      header={t.quota.of(project.name)}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" disabled={working !== undefined} onClick={() => void unset()} loading={working === 'unset'}>
              {t.quota.unset}
            </Button>
            <Button disabled={working !== undefined} onClick={onClose}>
              {t.cancel}
            </Button>
            <Button
              variant="primary"
              form="quota"
              loading={working === 'save'}
              disabled={working === 'unset' || Object.values(limits).includes(undefined)}
              disabledReason={t.quota.mend}
            >
              {t.save}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form id="quota" onSubmit={save}>
        <SpaceBetween size="m">
          {problem && <Alert type="error">{problem}</Alert>}
          <Box color="text-body-secondary">{t.quota.hint}</Box>
          <ColumnLayout columns={2}>
            {figures.map((f) => (
              <FormField
                key={f}
                label={t.quota.label[f]}
                constraintText={t.quota.uses(words(f, quota.usage[f]))}
                errorText={limits[f] === undefined ? t.quota.wrong[f] : undefined}
              >
                <Input
                  value={texts[f]}
                  inputMode="decimal"
                  placeholder={t.quota.none}
                  onChange={({ detail }) => setTexts({ ...texts, [f]: detail.value })}
                />
              </FormField>
            ))}
          </ColumnLayout>
          {over && <Alert type="warning">{t.quota.over}</Alert>}
        </SpaceBetween>
      </form>
    </Modal>
  );
}
