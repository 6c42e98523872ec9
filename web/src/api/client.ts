import createClient, { type ClientOptions } from 'openapi-fetch';
import { t } from '../i18n';
import { ApiError, errorFrom } from './errors';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Image = Schemas['Image'];
export type Member = Schemas['Member'];
export type Upload = Schemas['Upload'];
export type SignedPart = Schemas['SignedPart'];
export type May = Schemas['May'];
export type Project = Schemas['Project'];
export type Status = Schemas['Status'];
export type Visibility = Schemas['Visibility'];

/** Where tokens come from. The session implements it; the client knows nothing else of it. */
export interface Tokens {
  current(): string | undefined;
  /** Called when the service refuses the token; resolves when there is another one. */
  renew(refused: string): Promise<string>;
}

let tokens: Tokens = { current: () => undefined, renew: () => Promise.reject(new ApiError(401, '')) };

export function takeTokensFrom(source: Tokens): void {
  tokens = source;
}

/** fetch with the session's token. A refused token is not an error here: the request waits until the person has signed in again. */
export async function authorizedFetch(request: Request): Promise<Response> {
  for (;;) {
    const token = tokens.current();
    const attempt = request.clone();
    if (token && !attempt.headers.has('X-Auth-Token')) attempt.headers.set('X-Auth-Token', token);
    const response = await fetch(attempt);
    if (response.status !== 401 || !token || request.headers.has('X-Auth-Token')) return response;
    await tokens.renew(token);
  }
}

const options: ClientOptions = {
  baseUrl: globalThis.location?.origin ?? 'http://localhost',
  headers: { Accept: 'application/json' },
  cache: 'no-store',
  credentials: 'omit',
  redirect: 'error',
};

/** Calls that carry the session's token. */
export const api = createClient<paths>({ ...options, fetch: authorizedFetch });
/** Calls that carry the token that the caller gives, or none. */
export const open = createClient<paths>(options);

/** The body of an answer, or an ApiError. */
export async function take<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answered(call);
  if (!response.ok) throw errorFrom(response, error);
  return data as T;
}

/** The same with the answer's headers. */
export async function takeWhole<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<{ data: T; headers: Headers }> {
  const { data, error, response } = await answered(call);
  if (!response.ok) throw errorFrom(response, error);
  return { data: data as T, headers: response.headers };
}

async function answered<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError(0, t.errors.network);
    throw error;
  }
}
