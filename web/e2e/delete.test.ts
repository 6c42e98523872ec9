import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stage } from './stage';

const stage = Stage.open();

test('deleting several with a protected one among them: the dialog says which stays and why, and the rest goes', async () => {
  const api = await stage.api('member');
  const a = await api.active('disposable');
  const kept = await api.active('precious', { protected: true });
  await stage.as('member', async ({ page }) => {
    await page.getByRole('row', { name: /precious/ }).waitFor(); // before, there is nothing to choose
    await page.getByRole('checkbox', { name: 'Choose all on this page' }).press('Space'); // the sticky header lies over it
    await page.getByRole('button', { name: 'Delete Images' }).click();
    const dialog = page.getByRole('dialog');
    const row = (name: string) => dialog.getByRole('listitem').filter({ hasText: name });
    await row('disposable').getByText('Will be deleted').first().waitFor();
    await row('precious').getByText('The image is protected.').first().waitFor();
    await dialog.getByRole('button', { name: 'Delete 1 image' }).click();
    await dialog.getByText('1 of 2 images deleted.').first().waitFor();
    await row('disposable').getByText('Deleted').first().waitFor();
    await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
    await page.getByRole('row', { name: /disposable/ }).waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /precious/ }).waitFor();
  });
  await assert.rejects(api.call('GET', `/v2/images/${a}`), /404/);
  assert.equal((await api.call('GET', `/v2/images/${kept}`))['status'], 'active');
});

test('after Cancel nothing is deleted, and what was chosen is still chosen', async () => {
  const api = await stage.api('member');
  const id = await api.create('spared');
  await stage.as('member', async ({ page }) => {
    await page.getByRole('checkbox', { name: 'Choose spared' }).check();
    await page.getByRole('button', { name: 'Delete Images' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok(await page.getByRole('checkbox', { name: 'Choose spared' }).isChecked());
  });
  assert.equal((await api.call('GET', `/v2/images/${id}`))['name'], 'spared');
});

test('a deletion that the service refuses is reported with its reason', async () => {
  const api = await stage.api('member');
  const id = await api.create('protected behind your back');
  await stage.as('member', async (person) => {
    const { page } = person;
    person.expected.push(/403 \(Forbidden\)/);
    await page.getByRole('checkbox', { name: 'Choose protected behind your back' }).check();
    await page.getByRole('button', { name: 'Delete Images' }).click();
    await page.getByRole('dialog').getByText('Will be deleted').first().waitFor();
    await api.set(id, '/protected', true);
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await page
      .getByRole('dialog')
      .getByText(/is protected and cannot be deleted/)
      .first()
      .waitFor();
    await page.getByRole('dialog').getByText('0 of 1 image deleted.').first().waitFor();
  });
});

test('the dialog of one image names it', async () => {
  const api = await stage.api('member');
  const id = await api.create('the only one');
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'Actions' }).click();
      await page.getByRole('menuitem', { name: 'Delete' }).click();
      await page.getByRole('dialog').getByRole('heading', { name: 'Delete the only one?' }).waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      assert.equal((await api.call('GET', `/v2/images/${id}`))['name'], 'the only one');
      await page.getByRole('button', { name: 'Actions' }).click();
      await page.getByRole('menuitem', { name: 'Delete' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
      await page.getByText('Image the only one deleted.').first().waitFor();
      await page.getByRole('heading', { name: /^Images/ }).waitFor();
    },
    { route: `#/images/${id}` },
  );
});

test('several images are tagged, published and deactivated at once', async () => {
  const api = await stage.api('admin');
  const ids = [await api.active('many one'), await api.active('many two')];
  const all = (field: string) => Promise.all(ids.map(async (id) => (await api.call('GET', `/v2/images/${id}`))[field]));
  await stage.as('admin', async ({ page }) => {
    const choose = async (action: string) => {
      await page.getByRole('dialog').waitFor({ state: 'detached' }); // what was chosen goes with it, a moment after the message
      for (const name of ['many one', 'many two']) await page.getByRole('checkbox', { name: `Choose ${name}` }).check();
      await page.getByRole('button', { name: 'Actions' }).click();
      await page.getByRole('menuitem', { name: action }).click();
    };
    await choose('Add a tag');
    await page.getByRole('dialog').getByLabel('Tag').fill('gold');
    await page.getByRole('dialog').getByRole('button', { name: 'Tag', exact: true }).click();
    await page.getByText('2 images tagged.').first().waitFor();
    assert.deepEqual(await all('tags'), [['gold'], ['gold']]);

    await choose('Change visibility');
    await page.getByRole('dialog').getByLabel('Public').check();
    await page.getByRole('dialog').getByRole('button', { name: 'Change', exact: true }).click();
    await page.getByText('2 images changed.').first().waitFor();
    assert.deepEqual(await all('visibility'), ['public', 'public']);

    await choose('Deactivate');
    await page.getByRole('dialog').getByRole('button', { name: 'Deactivate', exact: true }).click();
    await page.getByText('2 images deactivated.').first().waitFor();
    assert.deepEqual(await all('status'), ['deactivated', 'deactivated']);
  });
});
