/** The figures of a quota. */
export type Figure = 'images' | 'bytes' | 'in_flight' | 'uploads';

const unlimited = -1;
const GIB = 2 ** 30;
const most = 2 ** 53 - 1;
const unitOf: Record<Figure, number> = { images: 1, uploads: 1, bytes: GIB, in_flight: GIB };

/** A limit as the form has it: GiB for sizes, and nothing where there is no limit. */
export function textOf(figure: Figure, limit: number): string {
  return limit === unlimited ? '' : String(Math.round((limit / unitOf[figure]) * 1000) / 1000);
}

/** The limit that somebody typed; undefined when it is none. */
export function limitIn(figure: Figure, text: string): number | undefined {
  const typed = text.trim();
  if (typed === '') return unlimited;
  if (!/^\d+(\.\d+)?$/.test(typed)) return undefined;
  const n = Number(typed) * unitOf[figure];
  if (unitOf[figure] === 1 && !Number.isInteger(n)) return undefined;
  return n <= most ? Math.round(n) : undefined;
}
