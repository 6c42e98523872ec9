import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { line } from './browser';
import { Stage } from './stage';

/**
 * The procedures of Horizon's guide to managing images, as a person does them: upload an image, update an image, make it public, delete images.
 */
const stage = Stage.open();

/** Notes which states of the image come on screen from now on, however briefly. Resolves to what gives them in order. */
async function shownStates(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    new MutationObserver(() => {
      const label = [...document.querySelectorAll('dt')].find((e) => e.textContent === 'Status');
      const word = /^\w+/.exec(label?.nextElementSibling?.textContent ?? '')?.[0];
      if (word && seen.at(-1) !== word) seen.push(word);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => (window as unknown as { seen: string[] }).seen);
}

test('Upload an image: a real Debian goes from Queued to Active on screen, without a reload', async () => {
  await stage.as('member', async ({ page }) => {
    await page.getByRole('link', { name: 'Create Image' }).first().click();
    await page.getByLabel('Choose files').setInputFiles(stage.files.debian());
    // The page finds the format and the system by itself.
    await page
      .getByText(/Found in the file: QCOW2 · Debian 12/)
      .first()
      .waitFor();
    await page.getByLabel('Image Name').fill('Debian 12 from the guide');
    await page.getByLabel('Image Description').fill('For testing the guide');

    await line(page, 4); // so that there is time to see it, however slow the test
    const states = await shownStates(page);
    await page.getByRole('button', { name: 'Create Image', exact: true }).click();
    await page.getByRole('heading', { name: 'Debian 12 from the guide', exact: true }).waitFor();
    await page
      .getByText(/^Queued/)
      .first()
      .waitFor();
    await line(page, 0);
    await page.getByText('Active', { exact: true }).first().waitFor();
    const seen = await states();
    assert.deepEqual([seen[0], seen.at(-1)], ['Queued', 'Active'], `what was on screen, in this order: ${seen.join(', ')}`);
    assert.ok(!seen.slice(0, -1).includes('Active'), `it is active only in the end: ${seen.join(', ')}`);

    await page.getByRole('link', { name: 'Images', exact: true }).first().click();
    const row = page.getByRole('row', { name: /Debian 12 from the guide/ });
    await row.getByText('Active').first().waitFor();
    await row.getByText('QCOW2').first().waitFor();
    await row.getByText('Debian 12', { exact: true }).first().waitFor();
  });
});

test('Update an image: name, description, minimum disk, tags and protection', async () => {
  const api = await stage.api('member');
  const id = await api.active('to be updated');
  await stage.as('member', async ({ page }) => {
    await page.getByRole('checkbox', { name: 'Choose to be updated' }).check();
    await page.getByRole('button', { name: 'Actions' }).click();
    await page.getByRole('menuitem', { name: 'Edit Image' }).click();
    await page.getByLabel('Image Name').fill('updated');
    await page.getByLabel('Image Description').fill('Better than before');
    await page.getByLabel('Minimum Disk (GiB)').fill('10');
    await page.getByPlaceholder('Add a tag and press Enter').fill('stable');
    await page.keyboard.press('Enter');
    await page.getByLabel('Protected').check();
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByRole('heading', { name: 'updated', exact: true }).waitFor();
    await page.getByText('Better than before').first().waitFor();
  });
  const image = await api.call('GET', `/v2/images/${id}`);
  assert.deepEqual(
    [image['name'], image['description'], image['min_disk'], image['tags'], image['protected']],
    ['updated', 'Better than before', 10, ['stable'], true],
  );
  await api.set(id, '/protected', false);
});

test('Make an image public with the Public box, and private again', async () => {
  const api = await stage.api('admin');
  const id = await api.active('for everyone');
  await stage.as(
    'admin',
    async ({ page }) => {
      const visibility = async () => (await api.call('GET', `/v2/images/${id}`))['visibility'];
      await page.getByLabel('Public').check();
      await page.getByRole('button', { name: 'Save changes' }).click();
      await page.getByRole('heading', { name: 'for everyone', exact: true }).waitFor();
      assert.equal(await visibility(), 'public');
      await page.getByRole('link', { name: 'Edit Image' }).click();
      await page.getByLabel('Public').uncheck();
      await page.getByRole('button', { name: 'Save changes' }).click();
      await page.getByRole('heading', { name: 'for everyone', exact: true }).waitFor();
      assert.equal(await visibility(), 'private');
    },
    { route: `#/images/${id}/edit` },
  );
});

test('Delete images: those chosen go for good, after a dialog that names them', async () => {
  const api = await stage.api('member');
  const [a, b] = [await api.active('old one'), await api.create('old two')];
  await stage.as('member', async ({ page }) => {
    await page.getByRole('checkbox', { name: 'Choose old one' }).check();
    await page.getByRole('checkbox', { name: 'Choose old two' }).check();
    await page.getByRole('button', { name: 'Delete Images' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: 'Delete 2 images?', exact: true }).waitFor();
    await dialog.getByText('This is for good').first().waitFor();
    await dialog.getByText('old one').first().waitFor();
    await dialog.getByText('old two').first().waitFor();
    await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('2 images deleted.').first().waitFor();
    await page.getByRole('row', { name: /old one/ }).waitFor({ state: 'detached' });
  });
  for (const id of [a, b]) await assert.rejects(api.call('GET', `/v2/images/${id}`), /404/);
});
