import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { Api } from './api';
import { Person, startBrowser } from './browser';
import { Files } from './files';
import { startHost } from './host';

/**
 * Measures what the dashboard costs: bytes and time of the first load, a list of 1,000 images, and an upload beside curl with the same kind of
 * URLs. It prints figures and judges nothing but the bytes, which do not depend on the machine.
 */
const BUDGET = 350_000; // bytes, compressed
const host = await startHost();
const browser = await startBrowser();
const files = new Files();
const say = (line: string) => process.stdout.write(`${line}\n`);
const median = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)] ?? 0;

try {
  const api = await Api.as(host, 'member');
  const loads: { bytes: number; ready: number }[] = [];
  for (let round = 0; round < 5; round++) {
    const person = await Person.arrive(browser, host);
    const { page } = person;
    const cdp = await person.context.newCDPSession(page);
    await cdp.send('Network.enable');
    let bytes = 0;
    const urls = new Map<string, string>();
    cdp.on('Network.requestWillBeSent', (e) => urls.set(e.requestId, e.request.url));
    const each: [number, string][] = [];
    cdp.on('Network.loadingFinished', (e) => {
      const url = urls.get(e.requestId) ?? '';
      if (!url.includes('/ui/')) return;
      bytes += e.encodedDataLength;
      each.push([e.encodedDataLength, url.replace(/.*\//, '')]);
    });
    const began = Date.now();
    await page.goto(host.url);
    await page.getByLabel('User name').waitFor();
    const gate = Date.now() - began;
    const gateBytes = bytes;
    await person.signIn('member');
    await page.getByText('This project has no images yet').waitFor();
    await page.getByPlaceholder('Find by name or filter by a property').waitFor();
    await page.waitForTimeout(500);
    loads.push({ bytes, ready: gate });
    if (round === 0) {
      say(
        `first load: ${(bytes / 1000).toFixed(1)} kB compressed in ${each.length} files, of them ${(gateBytes / 1000).toFixed(1)} kB until one can sign in`,
      );
      for (const [n, url] of each.sort((a, b) => b[0] - a[0]).slice(0, 12)) say(`  ${(n / 1000).toFixed(1).padStart(7)} kB  ${url}`);
    }
    await person.context.close();
  }
  say(`sign-in page ready after ${median(loads.map((l) => l.ready))} ms (median of ${loads.length}, cold cache)`);

  // A list of 1,000 images.
  for (let n = 0; n < 1000; n += 25)
    await Promise.all(
      Array.from({ length: 25 }, (_, k) => api.create(`image-${String(n + k).padStart(4, '0')}`, { tags: ['many'], os_distro: 'debian' })),
    );
  const person = await Person.arrive(browser, host);
  const { page } = person;
  await person.signIn('member');
  await page
    .getByRole('row', { name: /image-/ })
    .first()
    .waitFor();
  await page.evaluate(() =>
    localStorage.setItem(
      'bullion.images',
      JSON.stringify({
        pageSize: 200,
        wrapLines: false,
        stripedRows: false,
        contentDisplay: ['name', 'status', 'visibility', 'disk_format', 'size', 'os', 'created_at', 'tags'].map((id) => ({
          id,
          visible: true,
        })),
      }),
    ),
  );
  let began = Date.now();
  await page.reload();
  await page
    .getByRole('row', { name: /image-/ })
    .nth(199)
    .waitFor();
  say(`reload with a page of 200 of 1,000 images: ${Date.now() - began} ms`);
  const frames = await page.evaluate(async () => {
    const times: number[] = [];
    let last = performance.now();
    for (let y = 0; y < 8000; y += 100) {
      window.scrollTo(0, y);
      await new Promise((r) => requestAnimationFrame(r));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times;
  });
  frames.sort((a, b) => a - b);
  say(
    `scrolling it: median frame ${median(frames).toFixed(1)} ms, 95th percentile ${frames[Math.floor(frames.length * 0.95)]?.toFixed(1)} ms, slowest ${frames.at(-1)?.toFixed(1)} ms`,
  );
  began = Date.now();
  await page.getByPlaceholder('Find by name or filter by a property').fill('image-0777');
  await page.keyboard.press('Enter');
  await page.getByText('1 match').first().waitFor();
  say(`filtering it by name: ${Date.now() - began} ms`);
  await person.context.close();

  // An upload, beside curl.
  const size = 1 << 30;
  const file = files.raw('speed.raw', size);
  const [ours, curls]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    const up = await api.create(`curl-${round}`);
    const opened = await api.call<{ id: string; part_size: number; parts: number }>('POST', `/v2/images/${up}/uploads`, { size });
    const numbers = Array.from({ length: opened.parts }, (_, n) => n + 1);
    const { signed } = await api.call<{ signed: { number: number; url: string }[] }>(
      'POST',
      `/v2/images/${up}/uploads/${opened.id}/parts`,
      { numbers },
    );
    const send = signed
      .map(
        ({ number, url }) =>
          `dd if=${file} bs=${opened.part_size} skip=${number - 1} count=1 status=none | curl -sf -o /dev/null -X PUT -H 'Content-Type:' -H 'Transfer-Encoding:' -H 'Content-Length: ${Math.min(opened.part_size, size - (number - 1) * opened.part_size)}' --data-binary @- '${url}'`,
      )
      .join('\n');
    let t = Date.now();
    execFileSync('xargs', ['-P4', '-d', '\n', '-I{}', 'sh', '-c', '{}'], { input: send });
    curls.push(size / (Date.now() - t) / 1000);
    await api.call('DELETE', `/v2/images/${up}/uploads/${opened.id}`);

    const person = await Person.arrive(browser, host);
    const { page } = person;
    await person.signIn('member', '#/images/create');
    await page.getByLabel('Choose files').setInputFiles(file);
    await page.getByText(/Found in the file/).waitFor();
    const puts: { at: number; end: number }[] = [];
    page.on('requestfinished', (r) => {
      if (r.method() === 'PUT') puts.push({ at: r.timing().startTime, end: r.timing().startTime + r.timing().responseEnd });
    });
    t = Date.now();
    await page.getByRole('button', { name: 'Create Image', exact: true }).click();
    await page
      .locator('[data-phase="validating"], [data-phase="completing"]')
      .first()
      .waitFor({ timeout: 120_000 })
      .catch(() => page.getByText('Active', { exact: true }).first().waitFor());
    const seconds = (Math.max(...puts.map((p) => p.end)) - Math.min(...puts.map((p) => p.at))) / 1000;
    ours.push(size / seconds / 1e6);
    await person.context.close();
  }
  say(
    `upload of 1 GiB (${statSync(file).size} bytes), 3 rounds each: browser ${ours.map((x) => x.toFixed(0)).join(', ')} MB/s; curl, four at a time ${curls.map((x) => x.toFixed(0)).join(', ')} MB/s; ratio of the medians ${((median(ours) / median(curls)) * 100).toFixed(0)} %`,
  );

  const bytes = median(loads.map((l) => l.bytes));
  if (bytes > BUDGET) {
    console.error(`The first load has ${bytes} bytes; the budget is ${BUDGET}.`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
  await host.close();
  files.remove();
}
