import { describe, expect, test } from 'vitest';
import type { Image, May, Status } from '../api/client';
import { t } from '../i18n';
import type { Session } from '../session/session';
import { type Action, imageCan } from './can';

const image = (over: Partial<Image> = {}): Image =>
  ({ id: 'i', name: 'n', status: 'active', visibility: 'private', owner: 'mine', protected: false, ...over }) as Image;
const as = (role: string, may: May): Session => ({ roles: [role], may, project: { id: 'mine', name: 'Mine' } }) as Session;
// What the service answers under its default policy, and under the preset admin-only.
const manage = ['add_image', 'modify_image', 'delete_image', 'upload_image', 'download_image', 'deactivate', 'reactivate', 'add_member'];
const all = [...manage, 'context_is_admin', 'publicize_image', 'communitize_image', 'modify_member'];
const reader = as('reader', { own: [], shared: [], public: [] });
const member = as('member', { own: manage, shared: ['download_image', 'modify_member'], public: ['download_image'] });
const admin = as('admin', { own: all, shared: all, public: all });
const served = as('member', { own: ['download_image'], shared: ['download_image', 'modify_member'], public: ['download_image'] });

const actions = (Object.keys(imageCan) as (keyof typeof imageCan)[]).filter(
  (a): a is Action => !['create', 'makePublic', 'makeCommunity'].includes(a),
);
const may = (session: Session, i: Image) => actions.filter((a) => imageCan[a](i, session).ok).sort();

describe('what a person may do', () => {
  test.each<[string, Session, Image, string[]]>([
    ['a reader only looks', reader, image(), []],
    ['a member manages an active image of the project', member, image(), ['deactivate', 'delete', 'download', 'edit', 'history', 'tag']],
    [
      'a member downloads a public image of another project and no more',
      member,
      image({ owner: 'other', visibility: 'public' }),
      ['download'],
    ],
    [
      'a member shares a shared image',
      member,
      image({ visibility: 'shared' }),
      ['deactivate', 'delete', 'download', 'edit', 'history', 'share', 'tag'],
    ],
    ['a member uploads to a queued image', member, image({ status: 'queued' }), ['delete', 'edit', 'history', 'tag', 'upload']],
    ['nobody deletes a protected image', member, image({ protected: true }), ['deactivate', 'download', 'edit', 'history', 'tag']],
    [
      'a member does not download a deactivated image',
      member,
      image({ status: 'deactivated' }),
      ['delete', 'edit', 'history', 'reactivate', 'tag'],
    ],
    [
      'an administrator does',
      admin,
      image({ status: 'deactivated' }),
      ['answer', 'delete', 'download', 'edit', 'history', 'reactivate', 'tag'],
    ],
    [
      'an administrator publishes images of every project',
      admin,
      image({ owner: 'other' }),
      ['answer', 'deactivate', 'delete', 'download', 'edit', 'history', 'tag'],
    ],
  ])('%s', (_, session, i, want) => expect(may(session, i)).toEqual(want));

  test('every refusal has a reason', () => {
    const statuses: Status[] = ['queued', 'saving', 'uploading', 'importing', 'active', 'deactivated', 'pending_delete', 'deleted'];
    for (const session of [reader, member, admin]) {
      for (const status of statuses) {
        for (const owner of ['mine', 'other']) {
          for (const action of actions) {
            const verdict = imageCan[action](image({ status, owner }), session);
            if (!verdict.ok) expect(verdict.reason, `${action} of a ${status} image`).toMatch(/\w.*\.$/);
          }
        }
      }
    }
  });

  test('where only administrators manage, a member downloads and answers', () => {
    expect(may(served, image())).toEqual(['download']);
    expect(may(served, image({ owner: 'other', visibility: 'shared' }))).toEqual(['answer', 'download']);
    expect(imageCan.create(served)).toEqual({ ok: false, reason: expect.stringContaining('your role in the project, Member') });
    expect(imageCan.edit(image({ owner: 'other', visibility: 'public' }), member)).toEqual({ ok: false, reason: t.can.notYours });
  });

  test('only those create whom the policy allows it', () => {
    expect(imageCan.create(reader).ok).toBe(false);
    expect(imageCan.create(member).ok).toBe(true);
  });
});
