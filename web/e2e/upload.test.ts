import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import type { CDPSession, Page } from 'playwright-core';
import { line } from './browser';
import { card, create, MiB } from './sending';
import { Stage } from './stage';
import { until } from './until';

const stage = Stage.open();

/** Lets something happen to some parts on their way to the storage; the n-th time that one is sent is n. The others are not held up. */
async function disturb(
  page: Page,
  parts: number[],
  act: (part: number, n: number, session: CDPSession, request: { id: string; url: string }) => Promise<unknown>,
): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const times = new Map<number, number>();
  session.on('Fetch.requestPaused', ({ requestId, request }) => {
    const part = Number(/partNumber=(\d+)/.exec(request.url)?.[1]);
    const n = request.method === 'PUT' ? (times.get(part) ?? 0) + 1 : 0; // before it, the browser asks whether it may
    if (n > 0) times.set(part, n);
    act(part, n, session, { id: requestId, url: request.url }).catch(() => {}); // the page may have gone
  });
  await session.send('Fetch.enable', { patterns: parts.map((part) => ({ urlPattern: `*partNumber=${part}&*` })) });
}

test('1 GiB: paused, resumed, the page reloaded in the middle, the file chosen again, and active in the end', async () => {
  const file = stage.files.raw('large.raw', 1024 * MiB);
  const api = await stage.api('member');
  await stage.as('member', async (person) => {
    const { page } = person;
    const requests: { method: string; url: string }[] = [];
    page.on('requestfinished', (r) => {
      if (r.method() === 'PUT') requests.push({ method: r.method(), url: r.url() });
    });
    let begun = 0;
    page.on('request', (r) => {
      if (r.method() === 'PUT') begun++;
    });
    await line(page, 25); // slow enough to pause in the middle, however slow the test
    await create(page, file, 'large');
    const upload = card(page, 'large');
    await upload.getByRole('button', { name: 'Pause the upload' }).click();
    await upload.getByText('Paused. What has arrived is kept.').first().waitFor();
    const before = begun;
    const id = /images\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
    await page.getByRole('link', { name: 'Images', exact: true }).first().click(); // it stays paused on other pages
    await page
      .getByRole('row', { name: /large/ })
      .getByText(/^Queued · paused, \d+ %$/)
      .first()
      .waitFor();
    await page.goBack();
    await upload.getByText('Paused. What has arrived is kept.').first().waitFor();
    assert.equal(begun, before, 'no part is sent while the upload is paused');

    await upload.getByRole('button', { name: 'Resume the upload' }).click();
    await upload
      .getByText(/(MB|kB)\/s|Starting/)
      .first()
      .waitFor();
    const arrived = requests.length;
    await until('six more parts have arrived', () => requests.length >= arrived + 6);

    page.once('dialog', (d) => d.accept()); // the browser asks whether to leave
    await page.reload();
    const { bullion_upload: uploadID } = await api.call<{ bullion_upload: string }>('GET', `/v2/images/${id}`);
    const { have } = await api.call<{ have: unknown[] }>('GET', `/v2/images/${id}/uploads/${uploadID}`);
    assert.ok(have.length >= 6, `S3 keeps what had arrived: ${have.length} parts`);

    await page
      .getByText(/An upload of this image is open/)
      .first()
      .waitFor();
    const chooser = page.getByLabel('Choose the file to go on with the upload of large').first();
    await chooser.setInputFiles(stage.files.raw('other.raw', 1024 * MiB));
    await page
      .getByText(/This is not the file that the upload was begun with \(large.raw\)/)
      .first()
      .waitFor();

    const sent = requests.length;
    await line(page, 0);
    await chooser.setInputFiles(file);
    await page.getByText('Active', { exact: true }).first().waitFor();
    const parts = 1024 / 16;
    assert.ok(
      requests.length - sent <= parts - have.length,
      `after the reload only what was missing was sent: ${requests.length - sent} of ${parts} parts, ${have.length} were there`,
    );
    const image = await api.call('GET', `/v2/images/${id}`);
    assert.deepEqual([image['status'], image['size']], ['active', statSync(file).size]);
    assert.match(String(image['os_hash_value']), /^[0-9a-f]{128}$/);
  });
});

test('cancelling deletes what had arrived, and the image waits for another file', async () => {
  const file = stage.files.raw('cancel.raw', 160 * MiB);
  const api = await stage.api('member');
  await stage.as('member', async (person) => {
    const { page } = person;
    person.expected.push(/404 \(Not Found\) .*partNumber=/); // a part may reach the storage after the cancellation
    await line(page, 4);
    const begun = page.waitForRequest((r) => r.method() === 'PUT');
    await create(page, file, 'cancelled');
    await begun;
    await card(page, 'cancelled').getByRole('button', { name: 'Cancel the upload' }).click();
    await page.getByText('Cancelled, what had arrived is deleted').first().waitFor();
    const id = /images\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
    await page.getByRole('button', { name: 'Dismiss the upload of cancelled' }).first().click();
    await page.getByText('Give it a file').first().waitFor();
    await until('the service has given the upload up', async () => {
      const image = await api.call('GET', `/v2/images/${id}`);
      return image['status'] === 'queued' && image['bullion_upload_state'] === 'aborted';
    });
    await line(page, 0);
    await page.getByLabel('Choose file').setInputFiles(stage.files.raw('second.raw', 8 * MiB));
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await page.getByText('Active', { exact: true }).first().waitFor();
  });
});

test('parts that fail are sent again, and URLs that expired are signed again', async () => {
  const file = stage.files.raw('rough.raw', 128 * MiB);
  await stage.as('member', async (person) => {
    const { page } = person;
    person.expected.push(/ERR_CONNECTION_RESET/, /403 \(Forbidden\)/, /503/, /CORS policy/, /net::ERR_FAILED/);
    let signings = 0;
    const disturbed: string[] = [];
    page.on('request', (r) => {
      if (r.url().endsWith('/parts')) signings++;
    });
    let expired = '';
    await disturb(page, [2, 5, 7], (part, n, session, { id, url }) => {
      const signature = /X-Amz-Signature=(\w+)/.exec(url)?.[1] ?? '';
      if (part === 7 && n === 1) expired = signature;
      if (n === 1) disturbed.push(`${part}`);
      if (part === 2 && n === 1) return session.send('Fetch.failRequest', { requestId: id, errorReason: 'ConnectionReset' });
      if (part === 5 && n === 1) return session.send('Fetch.fulfillRequest', { requestId: id, responseCode: 503 });
      // An altered signature is refused by the storage as an expired one is, however often it is sent. Whether the browser gets to read the
      // refusal or only sees the connection end under its 16 MiB is a matter of luck.
      const altered = url.replace(
        signature,
        signature.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
      );
      return session.send('Fetch.continueRequest', signature === expired ? { requestId: id, url: altered } : { requestId: id });
    });
    await create(page, file, 'rough');
    await page.getByText('Active', { exact: true }).first().waitFor();
    assert.deepEqual(disturbed.sort(), ['2', '5', '7']);
    assert.ok(signings > 0, 'the part with the refused signature was signed again');
  });
});

test('an upload whose tab was closed goes on in another, with what had arrived', async () => {
  const file = stage.files.raw('moved.raw', 160 * MiB);
  const api = await stage.api('member');
  await stage.as('member', async ({ page, context }) => {
    const arrived = (p: Page) => {
      let n = 0;
      p.on('requestfinished', (r) => {
        if (r.method() === 'PUT') n++;
      });
      return () => n;
    };
    const first = arrived(page);
    await line(page, 15);
    await create(page, file, 'moved');
    await until('some parts have arrived', () => first() >= 4);
    await line(page, 0.5); // the rest does not arrive before the other tab is there, however slow the test
    const address = page.url();
    const second = await context.newPage();
    const rest = arrived(second);
    await second.goto(address);
    await second.getByRole('heading', { name: 'moved', exact: true }).waitFor(); // the session came along
    await page.close();
    const chooser = second.getByLabel('Choose the file to go on with the upload of moved').first();
    await chooser.setInputFiles(file);
    await second.getByText('Active', { exact: true }).first().waitFor();
    assert.ok(rest() <= 10 - 4, `the second tab sent what was missing: ${rest()} of 10 parts, at least 4 were there`);
    const id = /images\/([0-9a-f-]{36})/.exec(address)?.[1] ?? '';
    assert.equal((await api.call('GET', `/v2/images/${id}`))['status'], 'active');
  });
});
