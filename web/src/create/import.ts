import { useQuery } from '@tanstack/react-query';
import { api, type Schemas, take } from '../api/client';
import { t } from '../i18n';

/** The ways in which the service fetches bytes by itself; none where it has no import. */
export function useImportMethods(): readonly string[] {
  const { data } = useQuery({
    queryKey: ['import'],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async ({ signal }) => (await take(api.GET('/v2/info/import', { signal })))['import-methods'].value,
  });
  return data ?? [];
}

/** Lets the service fetch the bytes from an address. */
export async function importFrom(id: string, uri: string): Promise<void> {
  await take(api.POST('/v2/images/{id}/import', { params: { path: { id } }, body: { method: { name: 'web-download', uri } } }));
}

/** What is wrong with an address that somebody typed. */
export function urlProblem(text: string): string | undefined {
  return /^https?:\/\/[^/]+/.test(text.trim()) ? undefined : t.create.urlWrong;
}

/** The address of an import; undefined when it had none. */
export function sourceOf(task: Schemas['Task'] | undefined): string | undefined {
  const input = task?.['input'] as { import_req?: { method?: { uri?: unknown } }; loc_url?: unknown } | undefined;
  const uri = input?.import_req?.method?.uri ?? input?.loc_url;
  return typeof uri === 'string' ? uri : undefined;
}

/** The last import of an image. */
export function useImport(id: string, enabled: boolean): Schemas['Task'] | undefined {
  const { data } = useQuery({
    queryKey: ['image', id, 'tasks'],
    enabled,
    queryFn: async ({ signal }) => (await take(api.GET('/v2/images/{id}/tasks', { params: { path: { id } }, signal }))).tasks,
  });
  return data?.[0];
}
