/** Milliseconds after which something does not come any more, on a machine that has much else to do. */
export const patience = 180_000;

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, milliseconds = patience): Promise<void> {
  for (const end = Date.now() + milliseconds; !(await holds()); await new Promise((r) => setTimeout(r, 20)))
    if (Date.now() > end) throw new Error(`${milliseconds} ms went by and it does not hold that ${what}`);
}
