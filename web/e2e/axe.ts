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

/** Fails when axe finds something on the page as it is now. The page's own policy forbids what axe needs to be put in with: bypassCSP. */
export async function accessible(person: Person, where: string): Promise<void> {
  await person.still(); // colours fade in
  const { page } = person;
  const found = await page.evaluate(async (source) => {
    if (!('axe' in window)) new Function(source)();
    const { axe } = window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    return (await axe.run()).violations;
  }, axe);
  const text = found
    .map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html.slice(0, 300)}\n    ${n.failureSummary}`).join('\n')}`)
    .join('\n');
  assert.equal(found.length, 0, `${where}:\n${text}`);
}
