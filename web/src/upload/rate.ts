/** How fast bytes went during the last seconds. */
export interface Rate {
  samples: { at: number; bytes: number }[]; // milliseconds, bytes so far
}

const WINDOW = 10_000;

export const noRate: Rate = { samples: [] };

export function sample(rate: Rate, at: number, bytes: number): Rate {
  const last = rate.samples.at(-1);
  // Fewer bytes than before: a part was lost and will be sent again, so what was measured no longer tells.
  const kept = last && bytes < last.bytes ? [] : rate.samples.filter((x) => at - x.at <= WINDOW);
  return { samples: [...kept, { at, bytes }] };
}

/** Bytes per second, or undefined while it is too early to say. */
export function bytesPerSecond(rate: Rate): number | undefined {
  const first = rate.samples[0];
  const last = rate.samples.at(-1);
  if (!first || !last || last.at - first.at < 1000) return undefined;
  return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
}

/** Seconds until all bytes have gone, or undefined. */
export function secondsLeft(rate: Rate, bytes: number, total: number): number | undefined {
  const speed = bytesPerSecond(rate);
  return speed && speed > 0 ? (total - bytes) / speed : undefined;
}
