import type { FlashbarProps } from '@cloudscape-design/components/flashbar';
import type { ReactNode } from 'react';
import { store } from './store';

/** Messages above the page. */
export interface Flash {
  id: string;
  type: FlashbarProps.Type;
  header?: ReactNode;
  content?: ReactNode;
}

export const flashes = store<readonly Flash[]>([]);
let count = 0;

export function flash(f: Omit<Flash, 'id'>): void {
  const id = `flash-${++count}`;
  // Good news goes by itself; bad news stays until it is read.
  if (f.type === 'success' || f.type === 'info') setTimeout(() => dismiss(id), 12_000);
  flashes.set([{ ...f, id }, ...flashes.get()].slice(0, 8));
}

export function dismiss(id: string): void {
  flashes.set(flashes.get().filter((f) => f.id !== id));
}
