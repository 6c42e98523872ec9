import { api, take, type Upload } from '../api/client';
import { ApiError, reason } from '../api/errors';
import { t } from '../i18n';
import { noRate, type Rate, sample } from './rate';
import {
  type Command,
  type Event,
  type Failure,
  initial,
  over,
  type Plan,
  type Rejection,
  reduce,
  type Signed,
  type State,
  transferred,
} from './state';

/** Does what the reducer commands: speaks to the service and to S3, and waits. */
export class Runner {
  state: State;
  rate: Rate = noRate;
  private requests = new Map<number, XMLHttpRequest>();
  private timers = new Set<ReturnType<typeof setTimeout>>();
  private ended = new AbortController();
  /** Whether the last part took so long that one wants to see it move. To be told costs a fifth of the speed of a fast line. */
  private slow = true;

  constructor(
    readonly imageId: string,
    private readonly file: File,
    /** Called after every change; quick says that only byte counts moved. */
    private readonly changed: (quick: boolean) => void,
  ) {
    this.state = initial(file.size);
  }

  dispatch(event: Event): void {
    const [next, commands] = reduce(this.state, event, Date.now());
    const was = this.state;
    this.state = next;
    if (event.is === 'progress' || event.is === 'sent') this.rate = sample(this.rate, Date.now(), transferred(next));
    else if (was.phase !== next.phase) this.rate = noRate;
    for (const command of commands) this.perform(command);
    if (over(next)) this.ended.abort();
    if (next !== was) this.changed(next.phase === was.phase && (event.is === 'progress' || event.is === 'sent'));
  }

  private perform(c: Command): void {
    switch (c.do) {
      case 'open':
        return this.call(this.open());
      case 'look':
        return this.call(this.look());
      case 'sign':
        return this.call(this.sign(c.parts));
      case 'send':
        return this.send(c.part, c.from, c.to, c.request);
      case 'wait':
        return this.after(c.milliseconds, () => this.dispatch({ is: 'due', part: c.part }));
      case 'stop':
        return this.stop();
      case 'complete':
        return this.call(this.complete());
      case 'watch':
        return this.call(this.watch());
      case 'abort':
        return void this.abort();
    }
  }

  /** Runs a call to the service; what it throws ends the upload, for the person to resume. */
  private call(work: Promise<void>): void {
    work.catch((error: unknown) => this.dispatch({ is: 'failed', message: reason(error) }));
  }

  private path() {
    return { id: this.imageId, upload: this.state.plan?.upload ?? '' };
  }

  private async open(): Promise<void> {
    const upload = await patient(() =>
      take(api.POST('/v2/images/{id}/uploads', { params: { path: { id: this.imageId } }, body: { size: this.file.size } })),
    );
    this.dispatch({ is: 'opened', plan: planOf(upload), signed: upload.signed.map(signedOf) });
  }

  private async look(): Promise<void> {
    try {
      const upload = await patient(() => take(api.GET('/v2/images/{id}/uploads/{upload}', { params: { path: this.path() } })));
      const state = upload.state === 'open' ? 'open' : upload.state === 'received' || upload.state === 'accepted' ? 'received' : 'gone';
      this.dispatch({ is: 'looked', state, have: upload.have.map((p) => p.number) });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      await patient(() => take(api.GET('/v2/images/{id}', { params: { path: { id: this.imageId } } }))); // 404 when the image itself is gone
      this.dispatch({ is: 'looked', state: 'gone', have: [] });
    }
  }

  private async sign(parts: number[]): Promise<void> {
    const upload = await patient(() =>
      take(api.POST('/v2/images/{id}/uploads/{upload}/parts', { params: { path: this.path() }, body: { numbers: parts } })),
    );
    this.dispatch({ is: 'signed', signed: upload.signed.map(signedOf) });
  }

  private async complete(): Promise<void> {
    await patient(() => take(api.POST('/v2/images/{id}/uploads/{upload}/complete', { params: { path: this.path() } })));
    this.dispatch({ is: 'completed' });
  }

  /** Follows the examination until it has a result. The record is asked more and more rarely, and not while the page is hidden for long. */
  private async watch(): Promise<void> {
    for (let pause = 500; !this.ended.signal.aborted; pause = Math.min(pause * 1.4, 8000)) {
      await this.sleep(pause);
      const image = await patient(() => take(api.GET('/v2/images/{id}', { params: { path: { id: this.imageId } } })));
      if (image.status === 'active' || image.status === 'deactivated') return this.dispatch({ is: 'accepted' });
      const progress = /^hash (\d+)\/\d+$/.exec(image.bullion_progress ?? '');
      if (progress) this.dispatch({ is: 'validation', bytes: Number(progress[1]) });
      if (image.status !== 'queued') continue;
      const upload = await patient(() => take(api.GET('/v2/images/{id}/uploads/{upload}', { params: { path: this.path() } })));
      if (upload.rejection) return this.dispatch({ is: 'rejected', rejection: upload.rejection });
      if (upload.state !== 'open' && upload.state !== 'received') {
        const rejection: Rejection = { code: upload.state, message: t.upload.endedElsewhere, hint: '' };
        return this.dispatch({ is: 'rejected', rejection });
      }
    }
  }

  private async abort(): Promise<void> {
    try {
      await patient(() => take(api.DELETE('/v2/images/{id}/uploads/{upload}', { params: { path: this.path() } })));
    } catch (error) {
      console.warn(reason(error)); // the service gives abandoned uploads up by itself
    }
  }

  private send(part: number, from: number, to: number, request: Signed): void {
    const xhr = new XMLHttpRequest();
    this.requests.set(part, xhr);
    const end = (event: Event) => {
      if (this.requests.get(part) !== xhr) return; // it was stopped
      this.requests.delete(part);
      this.dispatch(event);
    };
    const began = performance.now();
    if (this.slow) xhr.upload.onprogress = (e) => this.dispatch({ is: 'progress', part, bytes: e.loaded });
    xhr.onload = () => {
      const failure = failureOf(xhr.status);
      this.slow = performance.now() - began > QUICK;
      end(failure ? { is: 'lost', part, failure, message: t.upload.partRefused(part, xhr.status) } : { is: 'sent', part });
    };
    xhr.onerror = () => end({ is: 'lost', part, failure: 'network', message: t.upload.storageUnreachable });
    xhr.open(request.method, request.url);
    for (const [name, value] of Object.entries(request.headers)) {
      if (!browserSets.has(name.toLowerCase())) xhr.setRequestHeader(name, value);
    }
    xhr.send(this.file.slice(from, to));
  }

  private stop(): void {
    const all = [...this.requests.values()];
    this.requests.clear();
    for (const xhr of all) xhr.abort();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  private after(milliseconds: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, milliseconds);
    this.timers.add(timer);
  }

  private sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
}

/** Milliseconds in which a part is sent that nobody needs to see move. */
const QUICK = 1500;

/** Headers that a browser sets from the body and the address, and lets no script set. */
const browserSets = new Set(['content-length', 'host']);

function failureOf(status: number): Failure | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status === 403) return 'expired';
  if (status === 412) return 'there';
  return status === 0 || status === 408 || status === 409 || status === 429 || status >= 500 ? 'busy' : 'refused';
}

export function planOf(u: Upload): Plan {
  return { upload: u.id, mode: u.mode === 'put' ? 'put' : 'multipart', size: u.size, partSize: u.part_size, parts: u.parts };
}

function signedOf(s: Upload['signed'][number]): Signed {
  return { number: s.number, method: s.method, url: s.url, headers: s.headers, expiresAt: Date.parse(s.expires_at) };
}

/** Tries a call again while its failure may pass: the network is away for a moment, or the service is busy. */
async function patient<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApiError && error.passing) || attempt === 8) throw error;
      const seconds = error.retryAfter ?? Math.min(2 ** (attempt - 1), 15);
      await Promise.race([new Promise((r) => setTimeout(r, seconds * 1000)), error.status === 0 ? online() : new Promise(() => {})]);
    }
  }
}

function online(): Promise<void> {
  if (navigator.onLine) return new Promise(() => {});
  return new Promise((resolve) => window.addEventListener('online', () => resolve(), { once: true }));
}
