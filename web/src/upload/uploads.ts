import { api, take } from '../api/client';
import { ApiError, reason } from '../api/errors';
import { t } from '../i18n';
import { session } from '../session/session';
import { store } from '../ui/store';
import { announce } from './notify';
import type { Rate } from './rate';
import { fingerprint, forget, type Remembered, remember, remembered, sameFile } from './remember';
import { planOf, Runner } from './runner';
import { busy, over, type State } from './state';

/** One upload of this tab, as the page shows it. */
export interface Item {
  imageId: string;
  imageName: string;
  fileName: string;
  project: string;
  state: State;
  rate: Rate;
}

/** All uploads of this tab, the newest last. */
export const uploads = store<readonly Item[]>([]);
/** Uploads that an earlier visit began and that wait for their file. */
export const interrupted = store<readonly Remembered[]>([]);
/** Whether the panel with the uploads is open. */
export const panel = store(false);
/** Counts up whenever an upload changes what the service has, so that lists ask again. */
export const landed = store(0);

const runners = new Map<string, { runner: Runner; item: Omit<Item, 'state' | 'rate'>; mark: string; release: () => void }>();

/** Puts a file into the queue: the files go one after the other, each as fast as the line allows. */
export async function begin(imageId: string, imageName: string, file: File): Promise<void> {
  const mark = await fingerprint(file);
  const release = await lock(imageId);
  if (!release) throw new Error(t.upload.otherTab);
  enqueue(imageId, imageName, file, mark, release);
  advance();
}

export class OtherFile extends Error {}

/**
 * Goes on with an upload that is open, begun before a reload, in another tab or on another machine. While another tab of this browser sends it,
 * elsewhere is called once and the upload waits for that tab to close or to end it; signal gives up waiting.
 */
export async function goOn(
  imageId: string,
  imageName: string,
  uploadId: string,
  file: File,
  elsewhere: () => void,
  signal: AbortSignal,
): Promise<void> {
  const known = interrupted.get().find((r) => r.image === imageId);
  if (known && !(await sameFile(known, file))) throw new OtherFile(t.upload.otherFile(known.fileName));
  const ask = () => take(api.GET('/v2/images/{id}/uploads/{upload}', { params: { path: { id: imageId, upload: uploadId } } }));
  const { size } = await ask();
  if (size !== file.size) throw new OtherFile(t.upload.otherSize(size, file.size));
  const mark = known?.fingerprint ?? (await fingerprint(file));
  let release = await lock(imageId);
  if (!release) {
    elsewhere();
    release = await lock(imageId, signal);
  }
  if (!release) return;
  const upload = await ask().catch((error: unknown) => {
    release();
    throw error;
  });
  if (upload.state !== 'open') return release(); // the other tab ended it, and the page shows how
  const runner = enqueue(imageId, imageName, file, mark, release);
  interrupted.set(interrupted.get().filter((r) => r.image !== imageId));
  runner.dispatch({ is: 'adopt', plan: planOf(upload) });
}

function enqueue(imageId: string, imageName: string, file: File, mark: string, release: () => void): Runner {
  const now = session.get();
  const project = now.is === 'out' ? '' : now.session.project.id;
  const runner = new Runner(imageId, file, (quick) => changed(imageId, quick));
  if (!navigator.onLine) runner.dispatch({ is: 'offline' });
  runners.delete(imageId);
  runners.set(imageId, { runner, mark, release, item: { imageId, imageName, fileName: file.name, project } });
  publish();
  return runner;
}

/**
 * One tab at a time sends an image. Resolves to what ends the hold, or to undefined: at once when another tab has it, or with a signal when that ends the
 * wait for it.
 */
function lock(imageId: string, signal?: AbortSignal): Promise<(() => void) | undefined> {
  if (!navigator.locks) return Promise.resolve(() => {}); // only over HTTPS or on localhost
  runners.get(imageId)?.release();
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(`bullion.upload.${imageId}`, signal ? { signal } : { ifAvailable: true }, (held) => {
        if (!held) return resolve(undefined);
        return new Promise<void>((release) => resolve(() => release()));
      })
      .catch((error: unknown) => (signal?.aborted ? resolve(undefined) : reject(error)));
  });
}

function advance(): void {
  const all = [...runners.values()];
  if (all.some(({ runner }) => busy(runner.state))) return;
  all.find(({ runner }) => runner.state.phase === 'waiting')?.runner.dispatch({ is: 'start' });
}

const phases = new Map<string, string>();

function changed(imageId: string, quick: boolean): void {
  const entry = runners.get(imageId);
  if (!entry) return;
  publish(quick);
  const { state } = entry.runner;
  if (phases.get(imageId) === state.phase) return;
  phases.set(imageId, state.phase);
  landed.set(landed.get() + 1);
  if (state.phase === 'sending') void note(imageId);
  if (state.phase === 'validating' || over(state)) {
    void forget(imageId);
    entry.release();
  }
  const name = entry.item.imageName;
  if (state.phase === 'active') announce(imageId, 'success', t.upload.notifyDone(name));
  if (state.phase === 'rejected') announce(imageId, 'error', t.upload.notifyRejected(name), state.rejection?.message);
  if (state.phase === 'failed')
    announce(imageId, 'error', t.upload.notifyFailed(name), state.problem === 'size' ? t.upload.sizeChanged : state.problem);
  queueMicrotask(advance);
}

async function note(imageId: string): Promise<void> {
  const entry = runners.get(imageId);
  const now = session.get();
  const plan = entry?.runner.state.plan;
  if (!entry || !plan || now.is === 'out') return;
  const { imageName, fileName, project } = entry.item;
  const user = now.session.user.id;
  await remember({
    image: imageId,
    imageName,
    upload: plan.upload,
    user,
    project,
    fileName,
    size: plan.size,
    modified: 0,
    fingerprint: entry.mark,
    at: Date.now(),
  });
}

let due: ReturnType<typeof setTimeout> | undefined;

/** Byte counts move many times a second; the page follows four times a second. */
function publish(quick = false): void {
  if (quick) {
    due ??= setTimeout(publish, 250);
    return;
  }
  clearTimeout(due);
  due = undefined;
  uploads.set([...runners.values()].map(({ runner, item }) => ({ ...item, state: runner.state, rate: runner.rate })));
}

export function pause(imageId: string): void {
  runners.get(imageId)?.runner.dispatch({ is: 'pause' });
}

export async function resume(imageId: string): Promise<void> {
  runners.get(imageId)?.runner.dispatch({ is: 'resume' });
}

export function cancel(imageId: string): void {
  runners.get(imageId)?.runner.dispatch({ is: 'cancel' });
}

/** Takes an upload that has ended off the page. */
export function dismiss(imageId: string): void {
  const entry = runners.get(imageId);
  if (!entry || busy(entry.runner.state)) return;
  entry.release();
  runners.delete(imageId);
  phases.delete(imageId);
  publish();
}

/** Looks for uploads that an earlier visit left unfinished. Those that the service no longer has open are forgotten. */
export async function findInterrupted(): Promise<void> {
  const now = session.get();
  if (now.is !== 'in') return interrupted.set([]);
  const { user, project } = now.session;
  const found: Remembered[] = [];
  for (const r of await remembered(user.id, project.id)) {
    if (runners.has(r.image)) continue;
    try {
      const upload = await take(api.GET('/v2/images/{id}/uploads/{upload}', { params: { path: { id: r.image, upload: r.upload } } }));
      if (upload.state === 'open') found.push(r);
      else await forget(r.image);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) await forget(r.image);
      else console.warn(reason(error));
    }
  }
  interrupted.set(found);
  // The page of an image offers to go on with its upload by itself.
  if (found.some((r) => !location.hash.includes(r.image))) panel.set(true);
}

/** Gives up an upload of an earlier visit. */
export async function abandon(r: Remembered): Promise<void> {
  await take(api.DELETE('/v2/images/{id}/uploads/{upload}', { params: { path: { id: r.image, upload: r.upload } } }));
  await forget(r.image);
  interrupted.set(interrupted.get().filter((x) => x.image !== r.image));
  landed.set(landed.get() + 1);
}

/** Whether leaving the page or the project would interrupt something. */
export function sending(): boolean {
  return [...runners.values()].some(
    ({ runner }) => busy(runner.state) || runner.state.phase === 'waiting' || runner.state.phase === 'paused',
  );
}

export function startUploads(): void {
  const each = (is: 'offline' | 'online') => {
    for (const { runner } of runners.values()) runner.dispatch({ is });
  };
  window.addEventListener('offline', () => each('offline'));
  window.addEventListener('online', () => each('online'));
  window.addEventListener('beforeunload', (e) => {
    if (sending()) e.preventDefault(); // the browser asks in its own words
  });
  let whose = '';
  session.subscribe(() => {
    const now = session.get();
    const next = now.is === 'out' ? '' : `${now.session.user.id}/${now.session.project.id}`;
    if (next === whose) return;
    whose = next;
    if (now.is === 'out') {
      for (const { runner, release } of runners.values()) {
        runner.dispatch({ is: 'pause' });
        release();
      }
      runners.clear();
      publish();
    }
    void findInterrupted();
  });
}
