import { useQuery } from '@tanstack/react-query';
import { api, type Schemas, take } from '../api/client';

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

/** The last import of an image. */
export function useImport(id: string, enabled: boolean): Schemas['Task'] | undefined {
  const { data } = useQuery({
    queryKey: ['image', id, 'tasks'],
    enabled,
    queryFn: async ({ signal }) => (await take(api.GET('/v2/images/{id}/tasks', { params: { path: { id } }, signal }))).tasks,
  });
  return data?.[0];
}
