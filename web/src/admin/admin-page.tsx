import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { api, take } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useProjects } from '../images/queries';
import { inWords, type Usage, useUsage } from '../project/usage';
import { follow } from '../ui/follow';
import { href, navigate } from '../ui/router';
import { Policy } from './policy';

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
          { id: 'id', header: t.columns.id, cell: (p) => <span className="mono">{p.id}</span> },
          { id: 'count', header: t.usage.images, cell: (p) => <Used project={p.id} figure="image_count_total" kind="count" /> },
          { id: 'storage', header: t.usage.storage, cell: (p) => <Used project={p.id} figure="image_size_total" kind="mebibytes" /> },
          { id: 'images', header: t.images.title, cell: (p) => <ImagesOf project={p.id} name={p.name} /> },
        ]}
        empty={<Box color="text-body-secondary">{t.admin.noProjects}</Box>}
      />
    </Loaded>
  );
}

function Used({ project, figure, kind }: { project: string; figure: keyof Usage; kind: 'count' | 'mebibytes' }) {
  const { data, error } = useUsage(project);
  if (error) return <StatusIndicator type="error">{reason(error)}</StatusIndicator>;
  return data ? inWords(data[figure], kind) : <StatusIndicator type="loading">{t.usage.loading}</StatusIndicator>;
}

function ImagesOf({ project, name }: { project: string; name: string }) {
  const to = href(['images'], { tab: 'all', owner: project });
  return (
    <Link ariaLabel={t.admin.imagesOf(name)} {...follow(to)}>
      {t.admin.show}
    </Link>
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
