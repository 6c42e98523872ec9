import type { Image, Status } from '../api/client';
import { t } from '../i18n';
import { roleIn, type Session } from '../session/session';
import { fetching } from './facts';

/**
 * What a person may do with an image: what the service said at sign-in that its policy allows, and what the state of the image allows, from one table. So
 * the page offers nothing in vain; the service decides all the same.
 */
export type Action =
  | 'cancelFetch'
  | 'upload'
  | 'download'
  | 'edit'
  | 'delete'
  | 'deactivate'
  | 'reactivate'
  | 'share'
  | 'tag'
  | 'history'
  | 'answer';

export type Verdict = { ok: true } | { ok: false; reason: string };

interface Rule {
  /** The rule of the policy. */
  rule: string;
  statuses?: readonly Status[];
  /** What else must hold; returns the reason why it does not. */
  unless?: (image: Image, session: Session) => string | undefined;
}

const living: readonly Status[] = ['queued', 'saving', 'uploading', 'importing', 'active', 'deactivated'];

const table: Record<Action, Rule> = {
  upload: { rule: 'upload_image', statuses: ['queued'] },
  download: {
    rule: 'download_image',
    statuses: ['active', 'deactivated'],
    unless: (image, session) => (image.status === 'deactivated' && !allows('context_is_admin', session) ? t.can.deactivated : undefined),
  },
  edit: { rule: 'modify_image', statuses: living },
  delete: { rule: 'delete_image', statuses: living, unless: (image) => (image.protected ? t.can.protected : undefined) },
  deactivate: { rule: 'deactivate', statuses: ['active'] },
  reactivate: { rule: 'reactivate', statuses: ['deactivated'] },
  share: {
    rule: 'add_member',
    statuses: living,
    unless: (image) => (image.visibility === 'shared' ? undefined : t.can.notShared(t.visibility[image.visibility])),
  },
  tag: { rule: 'modify_image', statuses: living },
  history: { rule: 'modify_image' },
  cancelFetch: {
    rule: 'upload_image',
    statuses: ['importing'],
    unless: (image) => (fetching(image) ? undefined : t.can.nothingFetched),
  },
  answer: { rule: 'modify_member' },
};

function judge(action: Action, image: Image, session: Session): Verdict {
  const rule = table[action];
  const own = image.owner === session.project.id;
  const kind = own ? 'own' : image.visibility === 'shared' ? 'shared' : 'public';
  if (!session.may[kind].includes(rule.rule))
    return { ok: false, reason: !own && allows(rule.rule, session) ? t.can.notYours : notAllowed(session) };
  if (rule.statuses && !rule.statuses.includes(image.status)) return { ok: false, reason: t.can.status[action](t.status[image.status]) };
  const why = rule.unless?.(image, session);
  return why ? { ok: false, reason: why } : { ok: true };
}

type Can = { [A in Action]: (image: Image, session: Session) => Verdict } & {
  [A in 'create' | 'makePublic' | 'makeCommunity']: (session: Session) => Verdict;
};

export const imageCan: Can = {
  ...(Object.fromEntries(
    (Object.keys(table) as Action[]).map((a) => [a, (image: Image, session: Session) => judge(a, image, session)]),
  ) as {
    [A in Action]: (image: Image, session: Session) => Verdict;
  }),
  create: (session) => of('add_image', session),
  makePublic: (session) => of('publicize_image', session),
  makeCommunity: (session) => of('communitize_image', session),
};

/** Whether the policy allows something with images of the project. */
function allows(rule: string, session: Session): boolean {
  return session.may.own.includes(rule);
}

function of(rule: string, session: Session): Verdict {
  return allows(rule, session) ? { ok: true } : { ok: false, reason: notAllowed(session) };
}

function notAllowed(session: Session): string {
  return t.can.role(t.roles[roleIn(session) ?? 'none']);
}

/** The reason of a refusal, for the disabledReason of a control. */
export function why(v: Verdict): string | undefined {
  return v.ok ? undefined : v.reason;
}
