/** Milliseconds after which something does not come any more, on a machine that has much else to do. */
export const patience = 180_000;

/** Waits until something holds, and looks again after a pause in milliseconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, pause = 20): Promise<void> {
  for (const end = Date.now() + patience; !(await holds()); await new Promise((r) => setTimeout(r, pause)))
    if (Date.now() > end) throw new Error(`${patience} ms went by and it does not hold that ${what}`);
}
