import { describe, expect, test } from 'vitest';
import type { Image, Status } from '../api/client';
import type { Session } from '../session/session';
import { type Action, imageCan } from './can';

const image = (over: Partial<Image> = {}): Image =>
  ({ id: 'i', name: 'n', status: 'active', visibility: 'private', owner: 'mine', protected: false, ...over }) as Image;
const as = (...roles: string[]): Session => ({ roles, project: { id: 'mine', name: 'Mine' } }) as Session;
const reader = as('reader');
const member = as('member', 'reader');
const admin = as('admin', 'member', 'reader');

const actions = (Object.keys(imageCan) as (Action | 'create')[]).filter((a): a is Action => a !== 'create');
const may = (session: Session, i: Image) => actions.filter((a) => imageCan[a](i, session).ok).sort();

describe('what a person may do', () => {
  test.each<[string, Session, Image, string[]]>([
    ['a reader only looks', reader, image(), []],
    ['a member manages an active image of the project', member, image(), ['deactivate', 'delete', 'download', 'edit', 'history', 'tag']],
    [
      'a member downloads a public image of another project and no more',
      member,
      image({ owner: 'other', visibility: 'public' }),
      ['answer', 'download'],
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
      ['delete', 'download', 'edit', 'history', 'publish', 'reactivate', 'tag'],
    ],
    [
      'an administrator publishes images of every project',
      admin,
      image({ owner: 'other' }),
      ['answer', 'deactivate', 'delete', 'download', 'edit', 'history', 'publish', 'tag'],
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

  test('only members create', () => {
    expect(imageCan.create(reader).ok).toBe(false);
    expect(imageCan.create(member).ok).toBe(true);
  });
});
