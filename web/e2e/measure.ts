import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { Api } from './api';
import { line, Person, startBrowser } from './browser';
import { Files } from './files';
import { type Host, startHost } from './host';
import { budget, firstLoad } from './load';

/**
 * Measures what the dashboard costs: bytes and time of the first load, a list of 1,000 images, and an upload beside curl with the same kind of URLs. It prints
 * figures as it gets them, and in the end a table of those that something is asked of. Only the bytes are judged by a test too: the rest depends on the
 * machine and on what else it does, so it wants a machine that does nothing else.
 *
 * usage: npm run measure [load] [list] [upload [ROUNDS]]
 */
const say = (line: string) => process.stdout.write(`${line}\n`);
const whole = (x: number) => x.toFixed(0);
const gigabit = 110; // megabytes a second of a line of 1 Gbit/s
const jank = 50; // milliseconds between two frames from which an eye sees a halt
const at = (xs: number[], part: number) =>
  xs.toSorted((a, b) => a - b)[Math.min(xs.length - 1, Math.floor(xs.length * part))] ?? Number.NaN;
const median = (xs: number[]) => at(xs, 0.5);

const table: { what: string; is: number; asked: number; unit: string; atLeast: boolean }[] = [];
const ask = (what: string, is: number, asked: number, unit: string, atLeast = false) => table.push({ what, is, asked, unit, atLeast });

const words = process.argv.slice(2);
const wanted = (what: string) => words.length === 0 || words.includes(what);
const host = await startHost();
const browser = await startBrowser();
const files = new Files();
try {
  if (wanted('load')) await load(browser, host);
  if (wanted('list')) await list(browser, host);
  if (wanted('upload')) await upload(browser, host, Number(words[words.indexOf('upload') + 1]) || 5);
} finally {
  await browser.close();
  await host.close();
  files.remove();
}
say(`\n${'what'.padEnd(62)}${'measured'.padStart(12)}${'asked'.padStart(18)}`);
for (const { what, is, asked, unit, atLeast } of table) {
  const holds = atLeast ? is >= asked : is <= asked;
  const bound = `${atLeast ? 'at least' : 'at most'} ${asked} ${unit}`;
  say(`${what.padEnd(62)}${`${whole(is)} ${unit}`.padStart(12)}${bound.padStart(18)}  ${holds ? 'holds' : 'MISSED'}`);
}

async function load(browser: Browser, host: Host): Promise<void> {
  const all = [];
  for (let round = 0; round < 5; round++) all.push(await firstLoad(browser, host));
  const [first] = all;
  say(`first load: ${whole((first?.bytes ?? 0) / 1000)} kB compressed in ${first?.files.length} files; ${budget / 1000} kB are allowed`);
  for (const f of first?.files.slice(0, 8) ?? []) say(`  ${whole(f.bytes / 1000).padStart(5)} kB  ${f.name}`);
  const times = all.map((l) => l.interactive);
  say(
    `interactive after ${whole(median(times))} ms (median of ${all.length}, nothing cached; from ${whole(at(times, 0))} to ${whole(at(times, 1))} ms)`,
  );
  ask('first load, compressed', (first?.bytes ?? 0) / 1000, budget / 1000, 'kB');
  ask('until the first load is interactive', median(times), 1000, 'ms');
}

async function list(browser: Browser, host: Host): Promise<void> {
  const api = await Api.as(host, 'member');
  for (let n = 0; n < 1000; n += 20)
    await Promise.all(
      Array.from({ length: 20 }, (_, k) => api.create(`image-${String(n + k).padStart(4, '0')}`, { tags: ['many'], os_distro: 'debian' })),
    );
  const person = await Person.arrive(browser, host);
  const { page } = person;
  await page.addInitScript(() => {
    const shown = ['name', 'status', 'visibility', 'disk_format', 'size', 'os', 'created_at', 'tags'].map((id) => ({ id, visible: true }));
    localStorage.setItem('bullion.images', JSON.stringify({ pageSize: 200, wrapLines: false, stripedRows: false, contentDisplay: shown }));
  });
  await person.signIn('member');
  const rows = page.getByRole('row', { name: /image-/ });
  await rows.nth(199).waitFor();
  let began = performance.now();
  await page.reload();
  await rows.nth(199).waitFor();
  say(`reload of a page of 200 of 1,000 images: ${whole(performance.now() - began)} ms`);
  await person.still();

  // Frames while a wheel turns; the time between two frames is what an eye sees as jank.
  await page.evaluate(() => {
    const frames: number[] = [];
    Object.assign(window, { frames });
    void (async () => {
      for (;;) frames.push(await new Promise<number>((done) => requestAnimationFrame(done)));
    })();
  });
  const input = await person.context.newCDPSession(page);
  await input.send('Input.synthesizeScrollGesture', { x: 800, y: 500, yDistance: -8000, speed: 4000, gestureSourceType: 'mouse' });
  const frames = await page.evaluate(() => (window as unknown as { frames: number[] }).frames);
  const gaps = frames.slice(1).map((t, n) => t - (frames[n] ?? t));
  say(
    `scrolling 8,000 pixels of it with the wheel: ${frames.length} frames, median ${at(gaps, 0.5).toFixed(1)} ms, 95th percentile ${at(gaps, 0.95).toFixed(1)} ms, slowest ${at(gaps, 1).toFixed(1)} ms`,
  );

  const late = gaps.filter((g) => g > jank).length;
  ask('1,000 images: frames later than 50 ms while scrolling', (late / gaps.length) * 100, 1, '%');

  const search = page.getByPlaceholder('Find by name or filter by a property');
  const filters: number[] = [];
  for (const n of [777, 123, 456, 901, 345]) {
    await search.fill(`image-0${n}`);
    began = performance.now();
    await page.keyboard.press('Enter');
    await page.getByText('1 match', { exact: true }).first().waitFor();
    filters.push(performance.now() - began);
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await rows.nth(199).waitFor();
  }
  say(`from Enter to the one match among 1,000: ${whole(median(filters))} ms (median of ${filters.length})`);
  ask('1,000 images: from Enter to the one that matches', median(filters), 1000, 'ms');
  await search.focus();
  const keys: number[] = [];
  for (const key of 'image-04') {
    began = performance.now();
    await page.keyboard.press(key);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
    keys.push(performance.now() - began);
  }
  say(`a key typed into the filter is on screen after ${whole(median(keys))} ms, at worst ${whole(at(keys, 1))} ms`);
  ask('1,000 images: from a key to its letter in the filter', median(keys), 100, 'ms');
  await person.context.close();
}

async function upload(browser: Browser, host: Host, rounds: number): Promise<void> {
  const api = await Api.as(host, 'member');
  const size = 1 << 30;
  const file = files.raw('speed.raw', size);
  const run = promisify(execFile);
  let parts: string[] = [];

  // speed is that of the line, in megabytes a second; 0 is as fast as this machine is.
  async function byCurl(speed: number): Promise<number> {
    const image = await api.create('curl');
    const opened = await api.call<{ id: string; part_size: number; parts: number }>('POST', `/v2/images/${image}/uploads`, { size });
    const path = `/v2/images/${image}/uploads/${opened.id}`;
    const { signed } = await api.call<{ signed: { number: number; url: string }[] }>('POST', `${path}/parts`, {
      numbers: Array.from({ length: opened.parts }, (_, n) => n + 1),
    });
    if (parts.length === 0) {
      execFileSync('split', ['-d', '-a', '3', '-b', String(opened.part_size), file, join(files.folder, 'part-')]);
      parts = signed.map((_, n) => join(files.folder, `part-${String(n).padStart(3, '0')}`));
    }
    const config = join(files.folder, 'curl');
    writeFileSync(config, signed.map((s) => `upload-file = "${parts[s.number - 1]}"\nurl = "${s.url}"\noutput = "/dev/null"\n`).join(''));
    const limit = speed > 0 ? ['--limit-rate', String((speed * 1e6) / 4)] : []; // of each of four
    const began = performance.now();
    await run('curl', ['--fail', '--silent', '--parallel', '--parallel-max', '4', ...limit, '--header', 'Expect:', '--config', config]);
    const seconds = (performance.now() - began) / 1000;
    await api.call('DELETE', path);
    await api.call('DELETE', `/v2/images/${image}`);
    return size / seconds / 1e6;
  }

  async function byBrowser(speed: number): Promise<number> {
    const person = await Person.arrive(browser, host);
    const { page } = person;
    await person.signIn('member', '#/images/create');
    if (speed > 0) await line(page, speed);
    await page.getByLabel('Choose files').setInputFiles(file);
    await page.getByText(/Found in the file/).waitFor();
    let [began, ended] = [Number.POSITIVE_INFINITY, 0];
    page.on('request', (r) => {
      if (r.method() === 'PUT') began = Math.min(began, performance.now());
    });
    page.on('requestfinished', (r) => {
      if (r.method() === 'PUT') ended = Math.max(ended, performance.now());
    });
    await page.getByRole('button', { name: 'Create Image', exact: true }).click();
    await page.getByText('Active', { exact: true }).first().waitFor();
    const id = /images\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
    await person.leave();
    await api.call('DELETE', `/v2/images/${id}`);
    return size / ((ended - began) / 1000) / 1e6;
  }

  async function compare(speed: number, over: string): Promise<void> {
    const [ours, curls]: [number[], number[]] = [[], []];
    // Who is first changes from round to round: what the first leaves behind, the second meets.
    const turns = [async () => curls.push(await byCurl(speed)), async () => ours.push(await byBrowser(speed))];
    for (let round = 0; round < rounds; round++) {
      for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
      say(`  round ${round + 1}: curl ${whole(curls.at(-1) ?? 0)} MB/s, browser ${whole(ours.at(-1) ?? 0)} MB/s`);
    }
    const ratios = ours.map((o, n) => (o / (curls[n] ?? Number.NaN)) * 100);
    say(
      `upload of 1 GiB over ${over}, four parts at a time: browser ${whole(median(ours))} MB/s, curl ${whole(median(curls))} MB/s; the browser reaches ${whole(median(ratios))} % of curl (median of ${rounds} rounds, from ${whole(at(ratios, 0))} to ${whole(at(ratios, 1))} %)`,
    );
    if (speed > 0) ask(`upload of 1 GiB over ${over}: browser beside curl`, median(ratios), 80, '%', true);
  }

  await compare(gigabit, '1 Gbit/s');
  await compare(0, 'loopback'); // where Chromium, to a server that throws everything away, does not send more than 180 MB/s on two cores, so nothing is asked
}
