import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Person } from './browser';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

/** The rules of axe whose verdict depends on colours. */
const ofColours = ['color-contrast', 'link-in-text-block'];

/**
 * Fails when axe finds something on the page as it is now, light, or in its colours when it turns dark. Other rules do not depend on which it is. The page's
 * own policy forbids what axe needs to be put in with: bypassCSP.
 */
export async function accessible(person: Person, where: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await person.page.emulateMedia({ colorScheme });
    await person.still(); // colours fade in
    assert.equal(await person.page.evaluate(() => document.documentElement.style.colorScheme), colorScheme);
    await accept(person, `${where}, ${colorScheme}`, colorScheme === 'dark' ? ofColours : undefined);
  }
  await person.page.emulateMedia({ colorScheme: 'light' });
}

/** rules are all of them when there are none. */
async function accept(person: Person, where: string, rules?: string[]): Promise<void> {
  const { page } = person;
  const found = await page.evaluate(
    async ({ source, rules }) => {
      if (!('axe' in window)) new Function(source)();
      const { axe } = window as unknown as { axe: { run(options: object): Promise<{ violations: Violation[] }> } };
      const runOnly = rules && { type: 'rule', values: rules };
      return (await axe.run({ resultTypes: ['violations'], ...(runOnly && { runOnly }) })).violations; // what passes need not be told
    },
    { source: axe, rules },
  );
  const text = found
    .map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html.slice(0, 300)}\n    ${n.failureSummary}`).join('\n')}`)
    .join('\n');
  assert.equal(found.length, 0, `${where}:\n${text}`);
}
