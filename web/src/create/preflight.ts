import type { ContainerFormat, DiskFormat } from './format';

/** What the check says of a file: either what it is, or why the service would refuse it. */
export interface Report {
  disk_format?: DiskFormat;
  container_format?: ContainerFormat;
  virtual_size?: number; // bytes
  architecture?: string;
  hw_firmware_type?: string;
  os_type?: string;
  os_distro?: string;
  os_version?: string;
  bootable?: boolean;
  warnings?: { code: string; message: string; hint: string }[];
  rejection?: { code: string; message: string; hint: string };
}

export interface Question {
  id: number;
  file: File;
  diskFormat: DiskFormat | '';
}

export type Answer = { id: number; report: Report } | { id: number; error: string };

let worker: Worker | undefined;
let count = 0;
const waiting = new Map<number, { resolve: (r: Report) => void; reject: (e: Error) => void }>();

/** Loads the check, so that the first file does not wait for it. */
export function warmUp(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL('./preflight.worker.ts', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if ('report' in data) asked?.resolve(data.report);
    else asked?.reject(new Error(data.error));
  };
  worker.onerror = () => {
    for (const { reject } of waiting.values()) reject(new Error('the check of files failed to start'));
    waiting.clear();
    worker = undefined;
  };
  return worker;
}

/** Looks into a file as the service will: what it is, whether it is whole, and whether it is what diskFormat says. "" finds out. */
export function preflight(file: File, diskFormat: DiskFormat | '' = ''): Promise<Report> {
  return new Promise((resolve, reject) => {
    const id = ++count;
    waiting.set(id, { resolve, reject });
    warmUp().postMessage({ id, file, diskFormat } satisfies Question);
  });
}

/** The warnings about a file, as one text. */
export function cautions(r: Report | undefined): string {
  return (r?.warnings ?? []).map((w) => `${w.message} ${w.hint}`.trim()).join(' ');
}

export function refusal(r: Report | undefined): string | undefined {
  return r?.rejection ? `${r.rejection.message} ${r.rejection.hint}`.trim() : undefined;
}
