import type { Browser } from 'playwright-core';
import { Person } from './browser';
import type { Host } from './host';

export interface Load {
  /** What came over the line, headers included, in bytes. */
  bytes: number;
  files: { name: string; bytes: number }[]; // the largest first
  /** Milliseconds until one can type one's name. */
  interactive: number;
}

/** What the first load may weigh until the list of images is there, compressed, in bytes. */
export const budget = 350_000;

/** Opens the dashboard in a browser that has never seen it, signs in and waits for the list of images. */
export async function firstLoad(browser: Browser, host: Host): Promise<Load> {
  const person = await Person.arrive(browser, host);
  const { page } = person;
  const network = await person.context.newCDPSession(page);
  await network.send('Network.enable');
  const asked = new Map<string, string>();
  const files: Load['files'] = [];
  network.on('Network.requestWillBeSent', (e) => asked.set(e.requestId, e.request.url));
  network.on('Network.loadingFinished', (e) => {
    const url = asked.get(e.requestId) ?? '';
    if (url.startsWith(host.url)) files.push({ name: url.slice(host.url.length) || 'index.html', bytes: e.encodedDataLength });
  });
  const began = performance.now();
  await page.goto(host.url);
  await page.getByLabel('User name').click();
  const interactive = performance.now() - began;
  await person.signIn('member');
  await page.getByPlaceholder('Find by name or filter by a property').waitFor();
  await person.still();
  await person.leave();
  files.sort((a, b) => b.bytes - a.bytes);
  return { bytes: files.reduce((sum, f) => sum + f.bytes, 0), files, interactive };
}
