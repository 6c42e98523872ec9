import { t } from '../i18n';

const locale = 'en';
const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;
const binary = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A size for people, in binary units as disks of virtual machines have them. */
export function size(bytes: number | null | undefined): string {
  return bytes === null || bytes === undefined ? '–' : scaled(bytes, 1024, binary);
}

/** A rate for people, in decimal units as networks have them. */
export function rate(bytesPerSecond: number): string {
  return t.format.perSecond(scaled(bytesPerSecond, 1000, units));
}

function scaled(n: number, step: number, names: readonly string[]): string {
  let unit = 0;
  while (n >= step && unit < names.length - 1) {
    n /= step;
    unit++;
  }
  const digits = unit === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
  return `${n.toLocaleString(locale, { maximumFractionDigits: digits })} ${names[unit]}`;
}

export function integer(n: number): string {
  return n.toLocaleString(locale);
}

export function percent(part: number): number {
  return Math.min(100, Math.max(0, Math.floor(part * 100)));
}

const full = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
const short = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });

export function time(iso: string): string {
  return full.format(new Date(iso));
}

export function shortTime(iso: string): string {
  return short.format(new Date(iso));
}

/** How long ago: 3 min. ago. */
export function ago(iso: string, now = Date.now()): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  for (const [unit, length] of [
    ['year', 31_557_600],
    ['month', 2_629_800],
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ] as const) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return t.format.justNow;
}

/** A duration for people: 1 min 20 s. */
export function duration(seconds: number): string {
  const s = Math.ceil(seconds);
  if (s < 60) return t.format.seconds(s);
  if (s < 3600) return t.format.minutes(Math.floor(s / 60), s % 60);
  return t.format.hours(Math.floor(s / 3600), Math.floor((s % 3600) / 60));
}
