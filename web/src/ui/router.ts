import { type Store, store, useStore } from './store';

/**
 * Where the page is. It lives in the fragment, so that the dashboard works at any path of any host without help from the server, and so that
 * what people search for is in no access log.
 */
export interface Route {
  path: string[]; // decoded segments
  params: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  return { path: path.split('/').filter(Boolean).map(decode), params: new URLSearchParams(query) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // a stray % typed by hand
  }
}

/** The address of a page, for links and for navigate. */
export function href(path: string[], params?: URLSearchParams | Record<string, string>): string {
  const query = new URLSearchParams(params).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${query ? `?${query}` : ''}`;
}

const current: Store<Route> = store(parseRoute(globalThis.location?.hash ?? ''));

export function listen(): void {
  window.addEventListener('popstate', () => current.set(parseRoute(location.hash)));
}

/** Goes to an address made by href. replace leaves no trace in the history; state is kept with the entry across reloads. */
export function navigate(to: string, { replace = false, state = null as unknown } = {}): void {
  const same = to === location.hash;
  if (same && !replace && state === null) return;
  history[replace || same ? 'replaceState' : 'pushState'](state, '', to);
  current.set(parseRoute(to));
}

export function useRoute(): Route {
  return useStore(current);
}

export function route(): Route {
  return current.get();
}
