import type { Image, Visibility } from '../api/client';
import type { Session } from '../session/session';
import { imageCan, type Verdict } from './can';
import { addTag, cancelImport, deactivate, patch, reactivate, remove, removeTag } from './queries';

/** What can be done with several images at once. */
export type BulkAction = 'delete' | 'deactivate' | 'reactivate' | 'visibility' | 'tag' | 'untag' | 'cancelFetch';

/** What the person adds to the action: a tag, or a visibility. */
export interface Input {
  tag: string;
  visibility: Visibility;
}

interface Definition {
  verdict: (image: Image, session: Session) => Verdict;
  run: (image: Image, input: Input) => Promise<unknown>;
}

export const bulkActions: Record<BulkAction, Definition> = {
  delete: { verdict: imageCan.delete, run: (image) => remove(image.id) },
  deactivate: { verdict: imageCan.deactivate, run: (image) => deactivate(image.id) },
  reactivate: { verdict: imageCan.reactivate, run: (image) => reactivate(image.id) },
  visibility: {
    verdict: imageCan.edit,
    run: (image, { visibility }) => patch(image.id, [{ op: 'replace', path: '/visibility', value: visibility }]),
  },
  tag: { verdict: imageCan.tag, run: (image, { tag }) => addTag(image.id, tag) },
  cancelFetch: { verdict: imageCan.cancelFetch, run: (image) => cancelImport(image.id) },
  untag: { verdict: imageCan.tag, run: (image, { tag }) => (image.tags.includes(tag) ? removeTag(image.id, tag) : Promise.resolve()) },
};

/** Runs work on every item, a few at a time. */
export async function each<T>(items: readonly T[], parallel: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.slice();
  await Promise.all(
    Array.from({ length: Math.min(parallel, left.length) }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
    }),
  );
}
