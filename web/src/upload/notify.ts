import { store } from '../ui/store';

/** Messages for the screen reader and, when the person wants it and looks elsewhere, for the desktop. */
export const spoken = store('');

export type Permission = 'unsupported' | 'default' | 'granted' | 'denied';

export function permission(): Permission {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.permission;
}

export async function askPermission(): Promise<Permission> {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.requestPermission();
}

export function announce(text: string): void {
  spoken.set(text);
  if (permission() === 'granted' && document.visibilityState === 'hidden')
    new Notification('Bullion', { body: text, icon: './bullion.svg' });
}
