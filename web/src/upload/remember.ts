/**
 * What this browser remembers of unfinished uploads, so that they can go on after a reload: which image and upload, and which file it was. No
 * token and no signed URL is kept, nor the bytes: the person chooses the file again, and the fingerprint says whether it is the same one.
 */
export interface Remembered {
  image: string; // id
  imageName: string;
  upload: string; // id
  user: string;
  project: string;
  fileName: string;
  size: number;
  modified: number; // milliseconds
  fingerprint: string; // "" when the browser cannot make one
  at: number; // milliseconds
}

const DATABASE = 'bullion';
const STORE = 'uploads';

function database(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'image' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB does not open'));
  });
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await database();
  try {
    return await new Promise<T>((resolve, reject) => {
      const request = work(db.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
    });
  } finally {
    db.close();
  }
}

/** Failing to remember must not stop an upload: private windows may have no IndexedDB. */
async function orElse<T>(work: Promise<T>, fallback: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    console.warn('unfinished uploads are not remembered:', error instanceof Error ? error.message : error);
    return fallback;
  }
}

export function remember(r: Remembered): Promise<unknown> {
  return orElse(
    run('readwrite', (s) => s.put(r)),
    undefined,
  );
}

export function forget(image: string): Promise<unknown> {
  return orElse(
    run('readwrite', (s) => s.delete(image)),
    undefined,
  );
}

/** Those of one person in one project, the newest first. */
export async function remembered(user: string, project: string): Promise<Remembered[]> {
  const all = await orElse<Remembered[]>(
    run('readonly', (s) => s.getAll() as IDBRequest<Remembered[]>),
    [],
  );
  return all.filter((r) => r.user === user && r.project === project).sort((a, b) => b.at - a.at);
}

const SAMPLE = 1 << 20;

/** A digest of the size and of the first and last mebibyte: enough to tell another file, and quick for a large one. */
export async function fingerprint(file: File): Promise<string> {
  if (!globalThis.crypto?.subtle) return ''; // only over HTTPS or on localhost
  const ends = [file.slice(0, SAMPLE), file.slice(Math.max(0, file.size - SAMPLE))];
  const bytes = await new Blob([String(file.size), ...ends]).arrayBuffer();
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Whether a file that was chosen now is the one that is remembered. */
export async function sameFile(r: Remembered, file: File): Promise<boolean> {
  if (file.size !== r.size) return false;
  const now = await fingerprint(file);
  return now === '' || r.fingerprint === '' || now === r.fingerprint;
}
