import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from './until';

/** A Bullion with its users. Everyone is in the project main but outsider, who is a member of the project other alone. */
export interface Host {
  url: string; // of the dashboard, with its slash
  api: string;
  /** A port of this machine from which it may fetch images. */
  sourcePort: number;
  passwords: Record<User, string>;
  close(): Promise<void>;
}

export type User = 'admin' | 'member' | 'reader' | 'outsider';

const grants: Record<User, [project: string, role: string]> = {
  admin: ['main', 'admin'],
  member: ['main', 'member'],
  reader: ['main', 'reader'],
  outsider: ['other', 'member'],
};
const users = Object.keys(grants) as User[];
const quota = { images: 2000, bytes: 2 ** 40 }; // of each project

/**
 * Starts what the tests run against, with fresh data: bulliond, or the built functions behind their gateway when AWSLOCAL names the program of
 * infra/local/harness/awslocal and FUNCTIONS the folder of the functions. Or uses the Bullion at BULLION_URL, whose users must be those above, with their
 * passwords in BULLION_PASSWORD_ADMIN and so on; it must be allowed to fetch from 127.0.0.1 at BULLION_SOURCE_PORT.
 */
export async function startHost(): Promise<Host> {
  if (process.env['BULLION_URL']) return given(process.env['BULLION_URL']);
  return fresh();
}

/** What startHost starts, with another policy than the default: a preset. */
export function startHostWith(preset: string): Promise<Host> {
  return fresh(preset);
}

function fresh(preset?: string): Promise<Host> {
  const program = process.env['AWSLOCAL'];
  return program ? functions(program, need('FUNCTIONS', 'the folder that make functions made'), preset) : bulliond(preset);
}

function given(url: string): Host {
  const api = url.replace(/\/+$/, '');
  const passwords = {} as Record<User, string>;
  for (const user of users) passwords[user] = need(`BULLION_PASSWORD_${user.toUpperCase()}`, 'the password of one of the four users');
  return {
    url: `${api}/${process.env['BULLION_UI_PATH'] ?? 'ui/'}`,
    api,
    sourcePort: Number(process.env['BULLION_SOURCE_PORT'] ?? 0),
    passwords,
    close: async () => {},
  };
}

async function bulliond(preset?: string): Promise<Host> {
  const program = found(process.env['BULLIOND'] ?? '../bin/bulliond');
  const data = mkdtempSync(join(tmpdir(), 'bullion-e2e-'));
  const passwords = {} as Record<User, string>;
  const admin = (input: string, ...args: string[]) => {
    const r = spawnSync(program, ['--data', data, ...args], { input, encoding: 'utf8' });
    if (r.status !== 0) throw new Error(`bulliond ${args.join(' ')}: ${r.stderr}`);
  };
  for (const project of ['main', 'other']) admin('', 'project', 'add', project);
  for (const user of users) {
    passwords[user] = `${user}-${Math.random().toString(36).slice(2)}-A1`;
    admin(`${passwords[user]}\n`, 'user', 'add', user);
    admin('', 'user', 'grant', user, ...grants[user]);
  }
  const [port, s3, sourcePort] = [await freePort(), await freePort(), await freePort()];
  const options = ['--listen', `127.0.0.1:${port}`, '--s3-listen', `127.0.0.1:${s3}`];
  if (preset) options.push('--policy', preset);
  options.push('--quota-images', String(quota.images), '--quota-bytes', String(quota.bytes));
  // The tests of imports have their files on this machine, from where a Bullion does not fetch by itself.
  options.push('--import-allow', `127.0.0.1:${sourcePort}`);
  return started(program, ['--data', data, ...options], data, `http://127.0.0.1:${port}`, sourcePort, () => passwords);
}

async function functions(path: string, built: string, preset?: string): Promise<Host> {
  const dir = mkdtempSync(join(tmpdir(), 'bullion-e2e-'));
  const [port, s3, sourcePort] = [await freePort(), await freePort(), await freePort()];
  const options = ['-dir', dir, '-functions', resolve(built), '-listen', `127.0.0.1:${port}`, '-s3-listen', `127.0.0.1:${s3}`];
  for (const user of users) options.push('-user', `${user}=${grants[user].join(':')}`);
  const parameters = {
    Quota: JSON.stringify(quota),
    ImportAllow: `127.0.0.1:${sourcePort}`,
    ...(preset && { Policy: `preset: ${preset}` }),
  };
  for (const [name, value] of Object.entries(parameters)) options.push('-parameter', `${name}=${value}`);
  return started(found(path), options, dir, `http://127.0.0.1:${port}`, sourcePort, () => {
    const { users: all } = JSON.parse(readFileSync(join(dir, 'deployment.json'), 'utf8')) as { users: { name: User; password: string }[] };
    return Object.fromEntries(all.map((u) => [u.name, u.password])) as Record<User, string>;
  });
}

function found(path: string): string {
  const program = resolve(path);
  if (!existsSync(program)) throw new Error(`${program} is not there: run "make build" in the folder above, or name another one`);
  return program;
}

/** Runs a program until its API answers. data goes with it. */
async function started(
  program: string,
  options: string[],
  data: string,
  api: string,
  sourcePort: number,
  passwords: () => Record<User, string>,
): Promise<Host> {
  const child = spawn(program, options, { stdio: ['ignore', 'ignore', 'pipe'] });
  process.once('exit', () => child.kill());
  process.once('SIGTERM', () => process.exit(143)); // nothing stays behind a run that is ended
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  await ready(api, child, () => log);
  return {
    url: `${api}/ui/`,
    api,
    sourcePort,
    passwords: passwords(),
    async close() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function need(name: string, what: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: ${what}`);
  return value;
}

async function ready(api: string, child: ChildProcess, log: () => string): Promise<void> {
  await until('the service answers', async () => {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}: ${log()}`);
    return fetch(`${api}/healthcheck`).then(
      (r) => r.ok,
      () => false, // not yet
    );
  });
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address ? done(address.port) : fail(new Error('no port'))));
    });
  });
}
