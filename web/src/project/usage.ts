import { useQuery } from '@tanstack/react-query';
import { api, type Schemas, take } from '../api/client';
import { t } from '../i18n';
import { integer, size } from '../ui/format';

export type Figure = Schemas['UsageFigure'];
export interface Usage {
  image_size_total: Figure; // MiB
  image_stage_total: Figure; // MiB
  image_count_total: Figure;
  image_count_uploading: Figure;
}

/** What a project uses and may use; without an id the session's. */
export function useUsage(project: string) {
  return useQuery({
    queryKey: ['usage', project],
    queryFn: async ({ signal }): Promise<Usage> =>
      (await take(api.GET('/v2/info/usage', { params: { query: { project_id: project } }, signal }))).usage,
  });
}

const unlimited = -1;

/** One figure in words: 3 of 10. */
export function inWords(f: Figure, kind: 'count' | 'mebibytes'): string {
  const word = (n: number) => (kind === 'count' ? integer(n) : size(n * 2 ** 20));
  return f.limit === unlimited ? t.usage.noLimit(word(f.usage)) : t.usage.ofLimit(word(f.usage), word(f.limit));
}

/** How much of the limit is used, in percent; undefined when there is none. */
export function share(f: Figure): number | undefined {
  if (f.limit === unlimited) return undefined;
  return f.limit === 0 ? 100 : Math.min(100, Math.round((f.usage / f.limit) * 100));
}
