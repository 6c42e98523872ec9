import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Table from '@cloudscape-design/components/table';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { ago, time } from '../ui/format';
import { useHistory } from './queries';

/** What happened to the image, the newest first. */
export function History({ image }: { image: Image }) {
  const session = useSession();
  const query = useHistory(image.id, true, `${image.status} ${image.updated_at}`);
  if (query.isError) return <Alert type="error">{reason(query.error)}</Alert>;
  const who = (id: string | undefined) => (id === undefined ? t.history.service : id === session.user.id ? session.user.name : id);
  return (
    <Table
      variant="embedded"
      loading={query.isPending}
      loadingText={t.history.loading}
      items={[...(query.data ?? [])].reverse()}
      trackBy={(e) => String(e.seq)}
      columnDefinitions={[
        {
          id: 'at',
          header: t.history.at,
          cell: (e) => <time dateTime={e.at} title={time(e.at)}>{`${time(e.at)} (${ago(e.at)})`}</time>,
          isRowHeader: true,
        },
        {
          id: 'change',
          header: t.history.change,
          cell: (e) => (!e.from ? t.history.created : e.from === e.to ? t.history.changed : `${t.status[e.from]} → ${t.status[e.to]}`),
        },
        { id: 'actor', header: t.history.actor, cell: (e) => who(e.actor) },
        { id: 'reason', header: t.history.reason, cell: (e) => <span className="prose">{e.reason ?? '–'}</span> },
      ]}
      wrapLines
      ariaLabels={{ tableLabel: t.image.history }}
      empty={<Box color="text-body-secondary">{t.history.none}</Box>}
    />
  );
}
