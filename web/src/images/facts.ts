import type { Image } from '../api/client';
import { t } from '../i18n';

/** Attributes that every image has; what is not among them is a custom property. */
const base = new Set([
  'id',
  'name',
  'status',
  'visibility',
  'owner',
  'protected',
  'os_hidden',
  'tags',
  'disk_format',
  'container_format',
  'min_disk',
  'min_ram',
  'size',
  'virtual_size',
  'checksum',
  'os_hash_algo',
  'os_hash_value',
  'created_at',
  'updated_at',
  'stores',
  'self',
  'file',
  'schema',
  'direct_url',
  'locations',
]);

/** Properties that the service sets and no client may. */
export function reserved(name: string): boolean {
  return base.has(name) || name.startsWith('bullion_') || name.startsWith('os_glance_');
}

/** The custom properties by name. description has a field of its own and is left out. */
export function properties(image: Image): [string, string][] {
  return Object.entries(image)
    .filter((e): e is [string, string] => !reserved(e[0]) && e[0] !== 'description' && typeof e[1] === 'string')
    .sort(([a], [b]) => a.localeCompare(b));
}

export function property(image: Image, name: string): string {
  const value = image[name];
  return typeof value === 'string' ? value : '';
}

export function description(image: Image): string {
  return property(image, 'description');
}

/** The operating system in words: Debian 12. */
export function system(image: Image): string {
  const distro = property(image, 'os_distro');
  const name = t.systems[distro.toLowerCase() as keyof typeof t.systems] ?? distro;
  return [name, property(image, 'os_version')].filter(Boolean).join(' ');
}

/** Whether the image is on its way to another state, so that it is worth looking again soon. */
export function moving(image: Image): boolean {
  return (
    image.status === 'saving' ||
    image.status === 'uploading' ||
    image.status === 'importing' ||
    image.status === 'pending_delete' ||
    (image.status === 'queued' && (image.bullion_upload_state === 'open' || image.bullion_upload_state === 'received'))
  );
}

/** How far the examination is, from 0 to 1; undefined when it is not under way or has only begun. */
export function progress(image: Image): { phase: string; part: number; done: number; total: number } | undefined {
  const m = /^(\w+) (\d+)\/(\d+)$/.exec(image.bullion_progress ?? '');
  if (!m) return undefined;
  const [done, total] = [Number(m[2]), Number(m[3])];
  return { phase: m[1] ?? '', part: total > 0 ? done / total : 0, done, total };
}

/** Whether the service fetches the bytes by itself at the moment. Once it has them, they are examined like any others. */
export function fetching(image: Image): boolean {
  return property(image, 'os_glance_importing_to_stores') !== '' && image.bullion_progress?.startsWith('fetch ') === true;
}

/** Whether the last fetch by the service failed. */
export function fetchFailed(image: Image): boolean {
  return image.status === 'queued' && property(image, 'os_glance_failed_import') !== '';
}

/** Why the last upload was refused: the code, and the sentence for people. */
export function rejection(image: Image): { code: string; message: string } | undefined {
  const text = image.status === 'queued' ? image.bullion_rejection : undefined;
  if (!text) return undefined;
  const at = text.indexOf(': ');
  return at < 0 ? { code: '', message: text } : { code: text.slice(0, at), message: text.slice(at + 2).trim() };
}
