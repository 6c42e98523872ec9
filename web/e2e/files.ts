import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Files for tests, in a folder that goes with them. */
export class Files {
  readonly folder = mkdtempSync(join(tmpdir(), 'bullion-files-'));

  /** A raw disk of that many bytes, sparse, with some of its own. */
  raw(name: string, size: number): string {
    const path = join(this.folder, name);
    const file = openSync(path, 'w');
    ftruncateSync(file, size);
    for (const at of [4096, Math.floor(size / 2), size - 8192]) writeSync(file, `${name} at ${at} `.repeat(20), at);
    closeSync(file);
    return path;
  }

  text(name: string, content: string): string {
    const path = join(this.folder, name);
    const file = openSync(path, 'w');
    writeSync(file, content);
    closeSync(file);
    return path;
  }

  /** A qcow2 that claims that the rest of it is a file of the machine that opens it. */
  hostile(name: string): string {
    const path = join(this.folder, name);
    execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', path, '64M']);
    return path;
  }

  /** The Debian below, under a name that people would give it. */
  debian(): string {
    const path = join(this.folder, 'debian-12.qcow2');
    if (!existsSync(path)) symlinkSync(debian(), path);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A Debian that boots, built once for each machine and state of the script from Debian's packages; infra/local/e2e uses the same. */
function debian(): string {
  const script = resolve('../infra/local/e2e/debian-image');
  const state = createHash('sha256').update(readFileSync(script)).digest('hex');
  const path = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'bullion', `debian-12-${state}.qcow2`);
  if (!existsSync(path)) {
    mkdirSync(resolve(path, '..'), { recursive: true });
    execFileSync(script, [path], { stdio: 'inherit' });
  }
  return path;
}
