import { type DiskFormat, formatByName } from './format';

/** What the first look at a file found. */
export interface Preflight {
  format?: DiskFormat;
  /** Why the service would refuse the file: there is no need to send it. */
  problem?: string;
  architecture?: string;
  distro?: string;
  version?: string;
  virtualSize?: number; // bytes
}

export async function preflight(file: File): Promise<Preflight> {
  return { format: formatByName(file.name) };
}
