import type { Schemas } from '../api/client';

export type DiskFormat = Schemas['DiskFormat'];
export type ContainerFormat = Schemas['ContainerFormat'];

/** The formats that are offered, the usual ones first. */
export const diskFormats: readonly DiskFormat[] = ['qcow2', 'raw', 'iso', 'vmdk', 'vhd', 'vhdx', 'vdi', 'ploop', 'ami', 'ari', 'aki'];

/** The container that a look into the file found; otherwise Amazon's three kinds carry theirs as the container too, and everything else is bare. */
export function containerFor(
  format: DiskFormat,
  found?: { disk_format?: DiskFormat; container_format?: ContainerFormat },
): ContainerFormat {
  if (found?.container_format && found.disk_format === format) return found.container_format;
  return format === 'ami' || format === 'ari' || format === 'aki' ? format : 'bare';
}

const endings: Record<string, DiskFormat> = {
  qcow2: 'qcow2',
  qcow: 'qcow2',
  raw: 'raw',
  img: 'raw',
  dd: 'raw',
  iso: 'iso',
  vmdk: 'vmdk',
  vhd: 'vhd',
  vpc: 'vhd',
  vhdx: 'vhdx',
  vdi: 'vdi',
  hds: 'ploop',
};

/** What the name of a file or of an address says about its format. */
export function formatByName(name: string): DiskFormat | undefined {
  return endings[name.toLowerCase().split(/[?#]/)[0]?.split('.').at(-1) ?? ''];
}

/** A name for the image: the file's without its endings. */
export function nameByFile(file: string): string {
  return file.replace(/(\.(qcow2?|raw|img|dd|iso|vmdk|vhdx?|vpc|vdi|ova|hds))+$/i, '').slice(0, 255);
}
