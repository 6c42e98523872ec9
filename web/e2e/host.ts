import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

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

const grants: Record<User, [project: string, role: string][]> = {
  admin: [['main', 'admin']],
  member: [['main', 'member']],
  reader: [['main', 'reader']],
  outsider: [['other', 'member']],
};

/**
 * Starts bulliond with fresh data, or uses the Bullion at BULLION_URL, whose users must be those above, with their passwords in
 * BULLION_PASSWORD_ADMIN and so on. It must be allowed to fetch from 127.0.0.1 at BULLION_SOURCE_PORT.
 */
export async function startHost(): Promise<Host> {
  const given = process.env['BULLION_URL'];
  if (given) {
    const passwords = Object.fromEntries(Object.keys(grants).map((u) => [u, need(`BULLION_PASSWORD_${u.toUpperCase()}`)])) as Record<
      User,
      string
    >;
    const api = given.replace(/\/+$/, '');
    return {
      url: `${api}/${process.env['BULLION_UI_PATH'] ?? 'ui/'}`,
      api,
      sourcePort: Number(process.env['BULLION_SOURCE_PORT'] ?? 0),
      passwords,
      close: async () => {},
    };
  }
  const program = resolve(process.env['BULLIOND'] ?? '../bin/bulliond');
  if (!existsSync(program))
    throw new Error(`${program} is not there: run "make build" in the folder above, or name a bulliond in BULLIOND`);

  const data = mkdtempSync(join(tmpdir(), 'bullion-e2e-'));
  const passwords = {} as Record<User, string>;
  const admin = (input: string, ...args: string[]) => {
    const r = spawnSync(program, ['--data', data, ...args], { input, encoding: 'utf8' });
    if (r.status !== 0) throw new Error(`bulliond ${args.join(' ')}: ${r.stderr}`);
  };
  for (const project of ['main', 'other']) admin('', 'project', 'add', project);
  for (const [user, list] of Object.entries(grants)) {
    const password = `${user}-${Math.random().toString(36).slice(2)}-A1`;
    passwords[user as User] = password;
    admin(`${password}\n`, 'user', 'add', user);
    for (const [project, role] of list) admin('', 'user', 'grant', user, project, role);
  }
  const [port, s3, sourcePort] = [await freePort(), await freePort(), await freePort()];
  const api = `http://127.0.0.1:${port}`;
  const options = [
    '--listen',
    `127.0.0.1:${port}`,
    '--s3-listen',
    `127.0.0.1:${s3}`,
    '--quota-images',
    '2000',
    '--quota-bytes',
    String(2 ** 40),
  ];
  // The tests of imports have their files on this machine, from where a Bullion does not fetch by itself.
  const child = spawn(program, ['--data', data, ...options, '--import-allow', `127.0.0.1:${sourcePort}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
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
    passwords,
    async close() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function need(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: BULLION_URL needs the passwords of the four users`);
  return value;
}

async function ready(api: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 2000; attempt++) {
    if (child.exitCode !== null) throw new Error(`bulliond ended with ${child.exitCode}: ${log()}`);
    try {
      if ((await fetch(`${api}/healthcheck`)).ok) return;
    } catch {
      // not yet
    }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`bulliond does not answer: ${log()}`);
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
