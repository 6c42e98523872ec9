import { applyDensity, applyMode, Density, Mode } from '@cloudscape-design/global-styles';
import { saved } from './saved';
import { store } from './store';

export type Appearance = 'system' | 'light' | 'dark';

/** What the person chose; the browser remembers it. */
export const appearance = store<Appearance>(saved<Appearance>('appearance', 'system').get());
export const compact = store<boolean>(saved('compact', false).get());

const prefersDark = globalThis.matchMedia?.('(prefers-color-scheme: dark)');

function paint(): void {
  const dark = appearance.get() === 'dark' || (appearance.get() === 'system' && prefersDark.matches);
  applyMode(dark ? Mode.Dark : Mode.Light);
  applyDensity(compact.get() ? Density.Compact : Density.Comfortable);
  document.documentElement.style.colorScheme = dark ? 'dark' : 'light';
}

export function startTheme(): void {
  paint();
  prefersDark.addEventListener('change', paint);
  appearance.subscribe(() => {
    saved<Appearance>('appearance', 'system').set(appearance.get());
    paint();
  });
  compact.subscribe(() => {
    saved('compact', false).set(compact.get());
    paint();
  });
}
