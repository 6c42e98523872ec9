import { type May, open, type Project, type Schemas, take, takeTokensFrom, takeWhole } from '../api/client';
import { ApiError } from '../api/errors';
import { saved } from '../ui/saved';
import { store } from '../ui/store';

/**
 * Who uses the page, and in which project.
 *
 * The token is kept in sessionStorage: it is readable by scripts of this origin alone, of which the Content-Security-Policy allows ours only, it
 * belongs to one tab, and it goes with the tab. It is there, and not in memory alone, so that a reload in the middle of an
 * upload asks for the file only, not for the password too. localStorage would outlive the tab and is not used for it.
 */
export interface Session {
  /** The token of the sign-in, without a project. Revoking it ends those derived from it. */
  root: string;
  /** The token for the current project. */
  token: string;
  expiresAt: number; // milliseconds
  user: { id: string; name: string };
  project: { id: string; name: string };
  roles: string[];
  /** What the service's policy allows in the project: the names of the rules. */
  may: May;
  projects: { id: string; name: string }[];
}

export type SessionState =
  | { is: 'out' }
  | { is: 'in'; session: Session }
  /** The token has ended. The page stays as it is and asks again. */
  | { is: 'expired'; session: Session };

const KEY = 'bullion.session';
export const session = store<SessionState>({ is: 'out' });
const lastProject = saved<string>('project', '');

export class NoProject extends Error {}

export function restore(): void {
  try {
    const text = sessionStorage.getItem(KEY);
    if (text) adopt(JSON.parse(text) as Session);
  } catch {
    sessionStorage.removeItem(KEY);
  }
}

let ends: ReturnType<typeof setTimeout> | undefined;

/** Takes over a session that is complete: from a sign-in, the storage of this tab, or another tab. */
export function adopt(s: Session): void {
  clearTimeout(ends);
  const left = s.expiresAt - Date.now();
  if (left <= 0) {
    session.set({ is: 'expired', session: s });
    return;
  }
  // setTimeout counts in 31 bits.
  ends = setTimeout(() => expire(s.token), Math.min(left, 2 ** 31 - 1));
  sessionStorage.setItem(KEY, JSON.stringify(s));
  session.set({ is: 'in', session: s });
}

function expire(token: string): void {
  const now = session.get();
  if (now.is === 'in' && now.session.token === token) session.set({ is: 'expired', session: now.session });
}

/** Signs in and goes to a project: the one that is asked for, the last one, or the first. */
export async function signIn(name: string, password: string, wantProject?: string): Promise<void> {
  const identity = { methods: ['password' as const], password: { user: { name, password, domain: { id: 'default' } } } };
  const root = await issue({ auth: { identity, scope: 'unscoped' } });
  const { projects } = await take(open.GET('/v3/auth/projects', { headers: { 'X-Auth-Token': root.token } }));
  const known = projects.filter((p) => p.enabled).map(({ id, name }) => ({ id, name }));
  const wanted = wantProject ?? lastProject.get();
  const project = known.find((p) => p.id === wanted) ?? known[0];
  if (!project) {
    await revoke(root.token);
    throw new NoProject();
  }
  adopt(await scoped(root.token, project.id, known));
}

/** Goes to another project of the same person. */
export async function switchProject(id: string): Promise<void> {
  const now = session.get();
  if (now.is === 'out') return;
  const next = await scoped(now.session.root, id, now.session.projects);
  lastProject.set(id);
  adopt(next);
}

/** Forgets the session here. */
export function forgetSession(): void {
  clearTimeout(ends);
  sessionStorage.removeItem(KEY);
  session.set({ is: 'out' });
}

/** Ends the session everywhere. */
export async function signOut(): Promise<void> {
  const now = session.get();
  forgetSession();
  // Those derived from it end with it.
  if (now.is === 'in') await Promise.allSettled([revoke(now.session.root)]);
}

type TokenBody = Schemas['TokenDocument']['token'];

async function issue(body: Schemas['SignIn']): Promise<{ token: string; body: TokenBody }> {
  const { data, headers } = await takeWhole(open.POST('/v3/auth/tokens', { body, params: {} }));
  const token = headers.get('X-Subject-Token');
  if (!token) throw new ApiError(0, '');
  return { token, body: data.token };
}

async function scoped(root: string, projectId: string, projects: Pick<Project, 'id' | 'name'>[]): Promise<Session> {
  const { token, body } = await issue({
    auth: { identity: { methods: ['token'], token: { id: root } }, scope: { project: { id: projectId } } },
  });
  const { may } = await take(open.GET('/v2/info/policy', { headers: { 'X-Auth-Token': token } }));
  return {
    root,
    token,
    expiresAt: Date.parse(body.expires_at),
    user: { id: body.user.id, name: body.user.name },
    project: { id: body.project?.id ?? projectId, name: body.project?.name ?? '' },
    roles: (body.roles ?? []).map((r) => r.name),
    may,
    projects,
  };
}

async function revoke(token: string): Promise<void> {
  const params = { header: { 'X-Subject-Token': token } };
  // It reaches the service even when the tab is closed in this moment.
  await take(open.DELETE('/v3/auth/tokens', { params, headers: { 'X-Auth-Token': token }, keepalive: true }));
}

takeTokensFrom({
  current() {
    const now = session.get();
    return now.is === 'out' ? undefined : now.session.token;
  },
  renew(refused) {
    expire(refused);
    return new Promise((resolve, reject) => {
      const stop = session.subscribe(check);
      function check() {
        const now = session.get();
        if (now.is === 'expired') return;
        stop();
        if (now.is === 'in') resolve(now.session.token);
        else reject(new ApiError(401, ''));
      }
      check();
    });
  },
});

/** The roles, the strongest first. Each includes those after it. */
const ladder = ['admin', 'member', 'reader'] as const;
export type Role = (typeof ladder)[number];

export function roleIn(s: Session): Role | undefined {
  return ladder.find((r) => s.roles.includes(r));
}

export function atLeast(s: Session, wanted: Role): boolean {
  const has = roleIn(s);
  return has !== undefined && ladder.indexOf(has) <= ladder.indexOf(wanted);
}
