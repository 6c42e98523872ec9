import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, take } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';

/** The rules in force: who may do what, as the service itself decides it. */
export function Policy() {
  const [wanted, setWanted] = useState('');
  const query = useQuery({
    queryKey: ['policy'],
    queryFn: async ({ signal }) => (await take(api.GET('/v2/info/policy', { signal }))).rules ?? [],
  });
  if (query.error) return <Alert type="error">{reason(query.error)}</Alert>;
  const text = wanted.trim().toLowerCase();
  const rules = (query.data ?? []).filter((r) => `${r.name} ${r.about} ${r.check}`.toLowerCase().includes(text));
  return (
    <SpaceBetween size="m">
      <Box color="text-body-secondary">{t.admin.policyHint}</Box>
      <Table
        variant="embedded"
        loading={query.isPending}
        loadingText={t.admin.loading}
        items={rules}
        trackBy="name"
        wrapLines
        ariaLabels={{ tableLabel: t.admin.policy }}
        filter={
          <Input
            type="search"
            value={wanted}
            onChange={({ detail }) => setWanted(detail.value)}
            placeholder={t.admin.find}
            ariaLabel={t.admin.find}
          />
        }
        columnDefinitions={[
          { id: 'name', header: t.admin.rule, isRowHeader: true, cell: (r) => <span className="mono">{r.name}</span> },
          { id: 'about', header: t.admin.about, cell: (r) => r.about || t.admin.own },
          {
            id: 'check',
            header: t.admin.check,
            cell: (r) =>
              r.check === '' || r.check === '@' ? (
                t.admin.anyone
              ) : r.check === '!' ? (
                t.admin.nobody
              ) : (
                <span className="mono">{r.check}</span>
              ),
          },
          { id: 'source', header: t.admin.source, cell: (r) => r.source },
        ]}
        empty={<Box color="text-body-secondary">{t.images.noMatch}</Box>}
      />
    </SpaceBetween>
  );
}
