import { useQuery } from '@tanstack/react-query';
import { authorizedFetch } from '../api/client';
import { errorFrom } from '../api/errors';

/** The ways in which the service fetches bytes by itself; none where it has no import. */
export function useImportMethods(): readonly string[] {
  const { data } = useQuery({
    queryKey: ['import'],
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: async () => {
      const response = await authorizedFetch(
        new Request(new URL('/v2/info/import', location.origin), { headers: { Accept: 'application/json' }, credentials: 'omit' }),
      );
      if (!response.ok) return [];
      const body = (await response.json()) as { 'import-methods'?: { value?: string[] } };
      return body['import-methods']?.value ?? [];
    },
  });
  return data ?? [];
}

/** Lets the service fetch the bytes from an address. */
export async function importFrom(id: string, uri: string): Promise<void> {
  const request = new Request(new URL(`/v2/images/${id}/import`, location.origin), {
    method: 'POST',
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    body: JSON.stringify({ method: { name: 'web-download', uri } }),
    credentials: 'omit',
  });
  const response = await authorizedFetch(request);
  if (!response.ok) throw errorFrom(response, await response.json().catch(() => undefined));
}
