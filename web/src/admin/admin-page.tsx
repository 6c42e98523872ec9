import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { api, type Project, take } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useProjects } from '../images/queries';
import { follow } from '../ui/follow';
import { integer, size } from '../ui/format';
import { href, navigate } from '../ui/router';
import type { Figure } from './limits';
import { Policy } from './policy';
import { type Quota, QuotaDialog, useQuota } from './quota';

/** For administrators: the projects, and who is what in them. */
export default function AdminPage({ tab }: { tab?: string }) {
  const tabs = [
    { id: 'projects', label: t.admin.projects, content: <Projects /> },
    { id: 'people', label: t.admin.people, content: <People /> },
    { id: 'policy', label: t.admin.policy, content: <Policy /> },
  ];
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={t.admin.description}>
          {t.admin.title}
        </Header>
      }
    >
      <Tabs
        variant="container"
        tabs={tabs}
        activeTabId={tabs.find((x) => x.id === tab)?.id ?? 'projects'}
        onChange={({ detail }) => navigate(href(['admin', detail.activeTabId]), { replace: true })}
        ariaLabel={t.admin.title}
      />
    </ContentLayout>
  );
}

function Projects() {
  const [edited, setEdited] = useState<{ project: Project; quota: Quota }>();
  const query = useProjects(true);
  return (
    <Loaded error={query.error}>
      <Table
        variant="embedded"
        loading={query.isPending}
        loadingText={t.admin.loading}
        items={query.data ?? []}
        trackBy="id"
        ariaLabels={{ tableLabel: t.admin.projects }}
        columnDefinitions={[
          { id: 'name', header: t.admin.project, isRowHeader: true, cell: (p) => p.name },
          { id: 'description', header: t.admin.projectAbout, cell: (p) => p.description || '–' },
          { id: 'id', header: t.columns.id, minWidth: 290, cell: (p) => <span className="mono">{p.id}</span> },
          { id: 'count', header: t.usage.images, cell: (p) => <Used project={p.id} show={(q) => of(q, 'images', integer)} /> },
          { id: 'storage', header: t.usage.storage, cell: (p) => <Used project={p.id} show={(q) => of(q, 'bytes', size)} /> },
          { id: 'egress', header: t.quota.egress, cell: (p) => <Used project={p.id} show={(q) => size(q.egress.bytes)} /> },
          {
            id: 'actions',
            header: t.images.actions,
            cell: (p) => <Actions project={p} onEdit={(quota) => setEdited({ project: p, quota })} />,
          },
        ]}
        wrapLines
        empty={<Box color="text-body-secondary">{t.admin.noProjects}</Box>}
      />
      {edited && <QuotaDialog {...edited} onClose={() => setEdited(undefined)} />}
    </Loaded>
  );
}

/** One figure of a project, from the one answer that has them all. */
function Used({ project, show }: { project: string; show: (q: Quota) => string }) {
  const { data, error } = useQuota(project);
  if (error) return <StatusIndicator type="error">{reason(error)}</StatusIndicator>;
  return data ? <span className="line">{show(data)}</span> : <StatusIndicator type="loading">{t.usage.loading}</StatusIndicator>;
}

function of(q: Quota, figure: Figure, words: (n: number) => string): string {
  const [used, limit] = [q.usage[figure], q.quota[figure]];
  return limit < 0 ? t.usage.noLimit(words(used)) : t.usage.ofLimit(words(used), words(limit));
}

function Actions({ project, onEdit }: { project: Project; onEdit: (q: Quota) => void }) {
  const { data } = useQuota(project.id);
  const to = href(['images'], { tab: 'all', owner: project.id });
  return (
    <span className="line">
      <Button
        variant="inline-link"
        wrapText={false}
        ariaLabel={t.quota.editOf(project.name)}
        disabled={!data}
        onClick={() => data && onEdit(data)}
      >
        {t.quota.edit}
      </Button>
      <Link ariaLabel={t.admin.imagesOf(project.name)} {...follow(to)}>
        {t.admin.show}
      </Link>
    </span>
  );
}

function People() {
  const query = useQuery({
    queryKey: ['assignments'],
    queryFn: async ({ signal }) =>
      (await take(api.GET('/v3/role_assignments', { params: { query: { include_names: true } }, signal }))).role_assignments,
  });
  const rows = query.data ?? [];
  return (
    <Loaded error={query.error}>
      <Table
        variant="embedded"
        loading={query.isPending}
        loadingText={t.admin.loading}
        items={rows}
        trackBy={(r) => `${r.user.id} ${r.scope.project?.id} ${r.role.id}`}
        ariaLabels={{ tableLabel: t.admin.people }}
        columnDefinitions={[
          { id: 'user', header: t.admin.user, isRowHeader: true, cell: (r) => r.user.name ?? r.user.id },
          { id: 'project', header: t.admin.project, cell: (r) => r.scope.project?.name ?? r.scope.project?.id ?? '–' },
          { id: 'role', header: t.admin.role, cell: (r) => t.roles[r.role.id as keyof typeof t.roles] ?? r.role.id },
          { id: 'may', header: t.admin.may, cell: (r) => t.admin.rights[r.role.id as keyof typeof t.admin.rights] ?? '–' },
        ]}
        wrapLines
        empty={<Box color="text-body-secondary">{t.admin.noPeople}</Box>}
      />
    </Loaded>
  );
}

function Loaded({ error, children }: { error: Error | null; children: ReactNode }) {
  return error ? <Alert type="error">{reason(error)}</Alert> : children;
}
