import { flash } from '../ui/flash';
import { route } from '../ui/router';
import { store } from '../ui/store';

/** What the screen reader says. */
export const spoken = store('');

export type Permission = 'unsupported' | 'default' | 'granted' | 'denied';

export function permission(): Permission {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.permission;
}

export async function askPermission(): Promise<Permission> {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.requestPermission();
}

/** Tells how an upload ended: on every page but the image's own, which shows it, to the screen reader, and on the desktop. */
export function announce(imageId: string, type: 'success' | 'error', text: string, detail?: string): void {
  spoken.set(text);
  if (route().path[1] !== imageId) flash(detail ? { type, header: text, content: detail } : { type, content: text });
  if (permission() === 'granted' && document.visibilityState === 'hidden')
    new Notification('Bullion', { body: text, icon: './bullion.svg' });
}
