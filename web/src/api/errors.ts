import { t } from '../i18n';

/** An answer that is no success, or no answer at all (status 0). Its message is a sentence for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId = '',
    /** Seconds after which the service wants to be asked again. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Reads the message out of either form of error: the image service's and Keystone's. */
export function errorFrom(response: Response, body: unknown): ApiError {
  const retryAfter = Number(response.headers.get('Retry-After') ?? Number.NaN);
  return new ApiError(
    response.status,
    messageIn(body) ?? t.errors.status(response.status),
    response.headers.get('X-Openstack-Request-Id') ?? '',
    Number.isFinite(retryAfter) ? retryAfter : undefined,
  );
}

function messageIn(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const outer = body as { message?: unknown; error?: { message?: unknown } };
  const message = outer.message ?? outer.error?.message;
  return typeof message === 'string' && message !== '' ? message : undefined;
}

/** The message of anything that was thrown. */
export function reason(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof TypeError) return t.errors.network;
  return error instanceof Error && error.message ? error.message : t.errors.unknown;
}
