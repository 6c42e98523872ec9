import { keepPreviousData, QueryClient, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, authorizedFetch, type Image, type Member, type Project, type Schemas, take } from '../api/client';
import { ApiError, errorFrom } from '../api/errors';
import { session } from '../session/session';
import { useStore } from '../ui/store';
import { landed } from '../upload/uploads';
import { moving } from './facts';
import { type Listing, request } from './filters';

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => error instanceof ApiError && error.passing && count < 3,
      staleTime: 2_000,
      gcTime: 5 * 60_000,
    },
  },
});

/** What belongs to one person in one project must not be shown to the next. */
export function startQueries(): void {
  let whose = '';
  session.subscribe(() => {
    const now = session.get();
    const next = now.is === 'out' ? '' : `${now.session.user.id}/${now.session.project.id}`;
    if (next === whose) return;
    if (whose) queries.clear();
    whose = next;
  });
}

const SOON = 1_500;
const LATE = 15_000;
const IDLE = 30_000;

/**
 * How long to wait before looking again: soon while something is on its way, more and more rarely when looking shows nothing new, and seldom when all is
 * still. While the page is hidden nobody looks: that is the default of the query client.
 */
export function live<T>(isMoving: (data: T) => boolean) {
  let seen: unknown;
  let looked = 0;
  let wait = SOON;
  return (query: { state: { data: T | undefined; dataUpdatedAt: number } }): number | false => {
    const { data, dataUpdatedAt } = query.state;
    if (data === undefined) return false;
    if (data !== seen) wait = SOON;
    else if (dataUpdatedAt !== looked) wait = Math.min(wait * 1.5, LATE);
    seen = data;
    looked = dataUpdatedAt;
    return isMoving(data) ? wait : IDLE;
  };
}

export interface ImagePage {
  images: Image[];
  next?: string; // marker of the page that follows
}

/** One page. The service may send fewer images than asked for and yet have more, so it is asked until the page is full. */
export async function fetchPage(l: Listing, project: string, limit: number, signal?: AbortSignal): Promise<ImagePage> {
  const images: Image[] = [];
  let after = l.after;
  for (;;) {
    const params = request({ ...l, after }, project, limit);
    const page = await getJSON<Schemas['ImagePage']>(`/v2/images?${params}`, signal);
    for (const image of page.images) {
      // The API's list of shared images holds the project's own as well.
      if (l.tab !== 'shared' || image.owner !== project) images.push(image);
      if (images.length === limit) break;
    }
    const next = page.next ? (new URL(page.next, location.origin).searchParams.get('marker') ?? undefined) : undefined;
    const last = images.at(-1);
    if (images.length === limit && last) return { images, next: page.images.at(-1)?.id === last.id ? next : last.id };
    if (!next) return { images };
    after = next;
  }
}

/** For requests whose parameters no list of names can hold: custom properties have any name. */
async function getJSON<T>(path: string, signal?: AbortSignal): Promise<T> {
  const request = new Request(new URL(path, location.origin), {
    headers: { Accept: 'application/json' },
    cache: 'no-store',
    credentials: 'omit',
    signal,
  });
  let response: Response;
  try {
    response = await authorizedFetch(request);
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError(0, '');
    throw error;
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw errorFrom(response, body);
  return body as T;
}

export function useImages(l: Listing, project: string, limit: number) {
  const [interval] = useState(() => live<ImagePage>((page) => page.images.some(moving)));
  useRefreshWhenUploadsLand();
  return useQuery({
    queryKey: ['images', project, l, limit],
    queryFn: ({ signal }) => fetchPage(l, project, limit, signal),
    placeholderData: keepPreviousData,
    refetchInterval: interval,
  });
}

export function useImage(id: string) {
  const [interval] = useState(() => live<Image>(moving));
  useRefreshWhenUploadsLand();
  return useQuery({
    queryKey: ['image', id],
    queryFn: ({ signal }) => take(api.GET('/v2/images/{id}', { params: { path: { id } }, signal })),
    refetchInterval: interval,
  });
}

function useRefreshWhenUploadsLand(): void {
  const count = useStore(landed);
  useEffect(() => {
    if (count > 0) void refresh();
  }, [count]);
}

export const lists = ['images', 'usage'] as const;
export const everything = [...lists, 'image', 'history', 'members'] as const;

/** Asks again for what the page shows of images. */
export function refresh(what: readonly string[] = everything): Promise<unknown> {
  return Promise.all(what.map((key) => queries.invalidateQueries({ queryKey: [key] })));
}

/** What the examination of an image's bytes found. */
export function useVerdict(image: Image) {
  return useQuery({
    queryKey: ['verdict', image.id, image.checksum],
    enabled: image.status === 'active' || image.status === 'deactivated',
    staleTime: Number.POSITIVE_INFINITY, // the bytes of an active image do not change
    queryFn: ({ signal }) => take(api.GET('/v2/images/{id}/validation', { params: { path: { id: image.id } }, signal })),
  });
}

export function useHistory(id: string, enabled: boolean, version: string) {
  return useQuery({
    queryKey: ['history', id, version],
    enabled,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const all: Schemas['Event'][] = [];
      for (;;) {
        const after = all.at(-1)?.seq;
        const query = after === undefined ? {} : { after };
        const { events } = await take(api.GET('/v2/images/{id}/history', { params: { path: { id }, query }, signal }));
        all.push(...events);
        if (events.length < 100) return all;
      }
    },
  });
}

export function useMembers(id: string, enabled: boolean) {
  return useQuery({
    queryKey: ['members', id],
    enabled,
    queryFn: async ({ signal }): Promise<Member[]> =>
      (await take(api.GET('/v2/images/{id}/members', { params: { path: { id } }, signal }))).members,
  });
}

/** Every project, for administrators. */
export function useProjects(enabled: boolean) {
  return useQuery({
    queryKey: ['projects'],
    enabled,
    staleTime: 60_000,
    queryFn: async ({ signal }): Promise<Project[]> => (await take(api.GET('/v3/projects', { signal }))).projects,
  });
}

type Op = Schemas['Patch'][number];

export function patch(id: string, ops: Op[]): Promise<Image> {
  return take(
    api.PATCH('/v2/images/{id}', {
      params: { path: { id } },
      body: ops,
      bodySerializer: (body) => JSON.stringify(body),
      headers: { 'Content-Type': 'application/openstack-images-v2.1-json-patch' },
    }),
  );
}

/** A JSON pointer to one attribute. */
export function pointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

export function remove(id: string): Promise<unknown> {
  return take(api.DELETE('/v2/images/{id}', { params: { path: { id } } }));
}

export function deactivate(id: string): Promise<unknown> {
  return take(api.POST('/v2/images/{id}/actions/deactivate', { params: { path: { id } } }));
}

export function reactivate(id: string): Promise<unknown> {
  return take(api.POST('/v2/images/{id}/actions/reactivate', { params: { path: { id } } }));
}

export function addTag(id: string, tag: string): Promise<unknown> {
  return take(api.PUT('/v2/images/{id}/tags/{tag}', { params: { path: { id, tag } } }));
}

export function removeTag(id: string, tag: string): Promise<unknown> {
  return take(api.DELETE('/v2/images/{id}/tags/{tag}', { params: { path: { id, tag } } }));
}

export function share(id: string, project: string): Promise<Member> {
  return take(api.POST('/v2/images/{id}/members', { params: { path: { id } }, body: { member: project } }));
}

export function unshare(id: string, project: string): Promise<unknown> {
  return take(api.DELETE('/v2/images/{id}/members/{member}', { params: { path: { id, member: project } } }));
}

export function answer(id: string, project: string, status: Member['status']): Promise<Member> {
  return take(api.PUT('/v2/images/{id}/members/{member}', { params: { path: { id, member: project } }, body: { status } }));
}

/** Gives up a fetch by the service. */
export function cancelImport(id: string): Promise<unknown> {
  return take(api.DELETE('/v2/images/{id}/import', { params: { path: { id } } }));
}

/** Sends the browser to the bytes; S3 answers with an attachment, so the page stays. */
export async function download(id: string): Promise<void> {
  const signed = await take(api.GET('/v2/images/{id}/download', { params: { path: { id } } }));
  const link = document.createElement('a');
  link.href = signed.url;
  link.rel = 'noreferrer';
  document.body.append(link);
  link.click();
  link.remove();
}
