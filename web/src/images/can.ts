import type { Image, Status } from '../api/client';
import { t } from '../i18n';
import { atLeast, type Role, type Session } from '../session/session';

/**
 * What a person may do with an image, from one table. It says what the service will allow with its default policy, so that the page offers nothing
 * in vain; the service decides all the same.
 */
export type Action =
  | 'upload'
  | 'download'
  | 'edit'
  | 'delete'
  | 'deactivate'
  | 'reactivate'
  | 'publish'
  | 'share'
  | 'tag'
  | 'history'
  | 'answer';

export type Verdict = { ok: true } | { ok: false; reason: string };

interface Rule {
  role: Role;
  /** Whether the image must belong to the current project. An administrator acts on every project's. */
  own: boolean;
  statuses?: readonly Status[];
  /** What else must hold; returns the reason why it does not. */
  unless?: (image: Image, session: Session) => string | undefined;
}

const living: readonly Status[] = ['queued', 'saving', 'uploading', 'importing', 'active', 'deactivated'];

const table: Record<Action, Rule> = {
  upload: { role: 'member', own: true, statuses: ['queued'] },
  download: {
    role: 'member',
    own: false,
    statuses: ['active', 'deactivated'],
    unless: (image, session) => (image.status === 'deactivated' && !atLeast(session, 'admin') ? t.can.deactivated : undefined),
  },
  edit: { role: 'member', own: true, statuses: living },
  delete: { role: 'member', own: true, statuses: living, unless: (image) => (image.protected ? t.can.protected : undefined) },
  deactivate: { role: 'member', own: true, statuses: ['active'] },
  reactivate: { role: 'member', own: true, statuses: ['deactivated'] },
  publish: { role: 'admin', own: true, statuses: living },
  share: {
    role: 'member',
    own: true,
    statuses: living,
    unless: (image) => (image.visibility === 'shared' ? undefined : t.can.notShared(t.visibility[image.visibility])),
  },
  tag: { role: 'member', own: true, statuses: living },
  history: { role: 'member', own: true },
  answer: { role: 'member', own: false, unless: (image, session) => (image.owner === session.project.id ? t.can.ownShare : undefined) },
};

function judge(action: Action, image: Image, session: Session): Verdict {
  const rule = table[action];
  if (!atLeast(session, rule.role)) return { ok: false, reason: t.can.role(t.roles[rule.role]) };
  if (rule.own && image.owner !== session.project.id && !atLeast(session, 'admin')) return { ok: false, reason: t.can.notYours };
  if (rule.statuses && !rule.statuses.includes(image.status)) return { ok: false, reason: t.can.status[action](t.status[image.status]) };
  const why = rule.unless?.(image, session);
  return why ? { ok: false, reason: why } : { ok: true };
}

type Can = { [A in Action]: (image: Image, session: Session) => Verdict } & { create: (session: Session) => Verdict };

export const imageCan: Can = {
  ...(Object.fromEntries(
    (Object.keys(table) as Action[]).map((a) => [a, (image: Image, session: Session) => judge(a, image, session)]),
  ) as {
    [A in Action]: (image: Image, session: Session) => Verdict;
  }),
  create: (session) => (atLeast(session, 'member') ? { ok: true } : { ok: false, reason: t.can.role(t.roles.member) }),
};

/** The reason of a refusal, for the disabledReason of a control. */
export function why(v: Verdict): string | undefined {
  return v.ok ? undefined : v.reason;
}
