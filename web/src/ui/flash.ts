import type { FlashbarProps } from '@cloudscape-design/components/flashbar';
import type { ReactNode } from 'react';
import { store } from './store';

/** Messages above the page. */
export interface Flash {
  id: string;
  type: FlashbarProps.Type;
  header?: ReactNode;
  content?: ReactNode;
  read: boolean; // on a page that was left
}

export const flashes = store<readonly Flash[]>([]);
let count = 0;

export function flash(f: Omit<Flash, 'id' | 'read'>): void {
  flashes.set([{ ...f, id: `flash-${++count}`, read: false }, ...flashes.get()].slice(0, 8));
}

/** Another page is shown. Good news goes with the page after the one on which it was read, at no set time; bad news stays until it is dismissed. */
export function turnPage(): void {
  const left = flashes.get().filter((f) => !f.read || f.type === 'error' || f.type === 'warning');
  flashes.set(left.map((f) => ({ ...f, read: true })));
}

export function dismiss(id: string): void {
  flashes.set(flashes.get().filter((f) => f.id !== id));
}
