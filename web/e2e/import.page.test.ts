import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { disk } from './api';
import { accessible } from './axe';
import { Stage } from './stage';
import { until } from './until';

let source: Server;
let address = '';

const stage = Stage.open(async ({ host }) => {
  const files: Record<string, Buffer> = {
    '/good.raw': disk(4 << 20, 'from an address'),
    '/page.qcow2': Buffer.from('<!doctype html><p>gone</p>'.repeat(50)),
  };
  source = createServer((request, response) => {
    if (request.url === '/held.raw') return hold(request, response);
    const body = files[request.url ?? ''];
    response.writeHead(body ? 200 : 404, { 'Content-Length': body?.length ?? 0 });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise<void>((done) => source.listen(host.sourcePort, '127.0.0.1', done));
  address = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
});
after(() => source?.close());

/** Gives a quarter of a file and keeps the rest until give is called, whoever asks when. */
let give = () => {};
const given = new Promise<void>((done) => {
  give = done;
});
function hold(request: IncomingMessage, response: ServerResponse): void {
  const whole = disk(64 << 20, 'held');
  response.writeHead(200, { 'Content-Length': whole.length });
  if (request.method === 'HEAD') return void response.end();
  response.write(whole.subarray(0, 16 << 20));
  void given.then(() => response.end(whole.subarray(16 << 20)));
}

test('an image is fetched from a URL by the service, while the page shows how it is', async () => {
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'URL', exact: true }).click();
      await page.getByLabel('Address of the file').fill('ftp://example.org/x');
      await page.getByRole('button', { name: 'Create Image', exact: true }).click();
      await page.getByText('Enter an address that begins with https:// or http://.').first().waitFor();
      await page.getByLabel('Address of the file').fill(`${address}/good.raw`);
      await page.getByLabel('Image Name').fill('from an address');
      await page.getByRole('button', { name: 'Create Image', exact: true }).click(); // the format comes from the name
      await page.getByRole('heading', { name: 'from an address', exact: true }).waitFor();
      await page.getByText('Active', { exact: true }).first().waitFor();
    },
    { route: '#/images/create' },
  );
});

test('a fetch that is under way tells how far it is, is cancelled, and begun again from the same address', async () => {
  await stage.as(
    'member',
    async (person) => {
      const { page } = person;
      await page.getByRole('button', { name: 'URL', exact: true }).click();
      await page.getByLabel('Address of the file').fill(`${address}/held.raw`);
      await page.getByLabel('Image Name').fill('held');
      await page.getByRole('button', { name: 'Create Image', exact: true }).click();
      await page.getByRole('heading', { name: 'Fetching from the URL' }).waitFor();
      await page.getByText(`${address}/held.raw`).waitFor();
      await page
        .getByText(/of 64 MiB/)
        .first()
        .waitFor();
      await accessible(person, 'a fetch under way');
      const id = /images\/([0-9a-f-]{36})/.exec(page.url())?.[1];
      await page.getByRole('link', { name: 'Images', exact: true }).first().click();
      await page
        .getByRole('row', { name: /held/ })
        .getByText(/Fetching \d+ %/)
        .waitFor();
      await page.getByRole('checkbox', { name: 'Choose held' }).check();
      await page.getByRole('button', { name: 'Actions' }).click();
      await page.getByRole('menuitem', { name: 'Cancel the fetch' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel the fetch' }).click();
      await page.getByText('The fetch of held is cancelled.').first().waitFor();
      await page.getByRole('row', { name: /held/ }).getByText('Queued · not fetched').click();
      await page.getByText('The import was cancelled.').first().waitFor();

      await page.goto(`${page.url().split('#')[0]}#/images/${id}`);
      await page.getByTestId('fetch-failed').getByText('The import was cancelled.').waitFor();
      await accessible(person, 'a fetch that failed');
      const field = page.getByLabel('Address of the file');
      await until('the last address is there', async () => (await field.inputValue()) === `${address}/held.raw`);
      await page.getByRole('button', { name: 'Fetch', exact: true }).click();
      await page.getByRole('heading', { name: 'Fetching from the URL' }).waitFor();
      await page.getByRole('button', { name: 'Cancel the fetch' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel', exact: true }).click();
      give();
      await page.getByText('Active', { exact: true }).first().waitFor();
    },
    { route: '#/images/create', bypassCSP: true },
  );
});

test('a fetched file that is no image is refused like an uploaded one', async () => {
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'URL', exact: true }).click();
      await page.getByLabel('Address of the file').fill(`${address}/page.qcow2`);
      await page.getByLabel('Image Name').fill('a page');
      await page.getByRole('button', { name: 'Create Image', exact: true }).click();
      await page.getByTestId('rejection').waitFor();
      assert.equal(await page.getByTestId('fetch-failed').count(), 0);
      await page.getByText('Give it a file').first().waitFor();
    },
    { route: '#/images/create' },
  );
});

test('when it cannot be fetched the page says why, and another file may be given', async () => {
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'URL', exact: true }).click();
      await page.getByLabel('Address of the file').fill(`${address}/absent.qcow2`);
      await page.getByLabel('Image Name').fill('absent');
      await page.getByRole('button', { name: 'Create Image', exact: true }).click();
      await page.getByText('The file was not fetched').first().waitFor();
      await page.getByTestId('fetch-failed').getByText(/404/).waitFor();
      await page.getByText('Give it a file').first().waitFor();
    },
    { route: '#/images/create' },
  );
});

test('the catalogue of metadata suggests properties and checks their values', async () => {
  const api = await stage.api('member');
  const id = await api.create('with metadata');
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'Edit properties' }).click();
      await page.getByRole('button', { name: 'Add a property' }).click();
      const name = page.getByRole('combobox', { name: 'Property' });
      await name.fill('hw_disk_bus');
      await page
        .getByRole('option', { name: /^hw_disk_bus/ })
        .first()
        .click();
      await page.getByRole('combobox', { name: 'Value' }).fill('virtio');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Add a property' }).click();
      await name.nth(1).fill('bullion_secret');
      await page.keyboard.press('Escape');
      await page.getByText('bullion_secret is a name of the service’s own.').first().waitFor();
      assert.ok(await page.getByRole('button', { name: 'Save changes' }).isDisabled());
      await name.nth(1).fill('my_own');
      await page.keyboard.press('Escape');
      await page.getByRole('textbox', { name: 'Value' }).fill('anything');
      await page.getByRole('button', { name: 'Save changes' }).click();
      await page.getByText('The properties are saved.').first().waitFor();
      await page.getByRole('cell', { name: 'anything' }).waitFor();
    },
    { route: `#/images/${id}` },
  );
  const image = await api.call('GET', `/v2/images/${id}`);
  assert.deepEqual([image['hw_disk_bus'], image['my_own']], ['virtio', 'anything']);
});
