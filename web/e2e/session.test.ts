import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endSession, Person } from './browser';
import { Stage } from './stage';
import { until } from './until';

const stage = Stage.open();

test('a link to an image leads there after the sign-in', async () => {
  const api = await stage.api('member');
  const id = await api.create('linked');
  await stage.as('member', ({ page }) => page.getByRole('heading', { name: 'linked', exact: true }).waitFor(), { route: `#/images/${id}` });
});

test('a wrong password is answered with a sentence', async () => {
  const person = await Person.arrive(stage.browser, stage.host);
  person.expected.push(/401 \(Unauthorized\)/);
  const { page } = person;
  await page.goto(stage.host.url);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Enter your user name.').first().waitFor();
  await page.getByLabel('User name').fill('member');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The user name or the password is wrong').first().waitFor();
  await person.leave();
});

test('a reload keeps the session, and nothing of it is in local storage', async () => {
  await stage.as('member', async ({ page }) => {
    await page.reload();
    await page.getByRole('heading', { name: /^Images/ }).waitFor();
    const text = await page.evaluate(() => JSON.stringify(localStorage));
    assert.doesNotMatch(text, /token|eyJ/);
  });
});

test('a session that ends keeps the page, asks for the password, and goes on with what was asked', async () => {
  const api = await stage.api('member');
  const id = await api.create('while I was away');
  await stage.as(
    'member',
    async (person) => {
      const { page } = person;
      person.expected.push(/401 \(Unauthorized\)/);
      await page.getByLabel('Image Name').fill('renamed at last');
      const save = page.locator('button', { hasText: 'Save changes' });
      await endSession(person);
      await save.dispatchEvent('click'); // not click: a look at the image in this moment brings the dialog, which lies over the button
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Your session has ended').first().waitFor();
      assert.equal(await page.getByLabel('Image Name').inputValue(), 'renamed at last', 'the form is as it was');
      await dialog.getByLabel('Password').fill(stage.host.passwords.member);
      await dialog.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'renamed at last', exact: true }).waitFor(); // the change was saved
    },
    { route: `#/images/${id}/edit` },
  );
  assert.equal((await api.call('GET', `/v2/images/${id}`))['name'], 'renamed at last');
});

test('a new tab has the session, and signing out ends it in both', async () => {
  await stage.as('member', async (person) => {
    const second = await person.context.newPage();
    await second.goto(stage.host.url);
    await second.getByRole('heading', { name: /^Images/ }).waitFor();
    await person.still(); // what a tab asks for when the session ends is refused
    const token = await second.evaluate(() => (JSON.parse(sessionStorage.getItem('bullion.session') ?? '{}') as { token: string }).token);
    await person.page.getByRole('button', { name: 'Signed in as member' }).click();
    await person.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await person.page.getByLabel('User name').waitFor();
    await second.getByLabel('User name').waitFor();
    await until('the token is revoked', async () => {
      const { status } = await fetch(`${stage.host.api}/v2/images`, { headers: { 'X-Auth-Token': token } });
      return status === 401;
    });
  });
});

test('the list remembers its filter in the address and its columns in the browser', async () => {
  const api = await stage.api('member');
  await api.create('alpha one', { tags: ['x'] });
  await api.create('beta two', { os_distro: 'debian' });
  await stage.as('member', async ({ page }) => {
    const search = page.getByPlaceholder('Find by name or filter by a property');
    await search.fill('ALPHA');
    await page.keyboard.press('Enter');
    await page.getByRole('row', { name: /beta two/ }).waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /alpha one/ }).waitFor();
    assert.match(page.url(), /name_contains=ALPHA/);
    await page.getByRole('button', { name: 'Preferences' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('20 images').check();
    await dialog.getByRole('button', { name: 'Confirm' }).click();
    await page.reload();
    await page.getByRole('row', { name: /alpha one/ }).waitFor();
    assert.equal(await page.getByRole('row', { name: /beta two/ }).count(), 0);
    assert.match((await page.evaluate(() => localStorage.getItem('bullion.images'))) ?? '', /"pageSize":20/);
    await page.goBack();
    await page.getByRole('row', { name: /beta two/ }).waitFor();
  });
});

test('pages lead forward and back, and a sort begins at the first', async () => {
  const api = await stage.api('member');
  for (let n = 0; n < 45; n++) await api.create(`page-${String(n).padStart(2, '0')}`);
  await stage.as(
    'member',
    async ({ page }) => {
      await page.evaluate(() =>
        localStorage.setItem(
          'bullion.images',
          JSON.stringify({ pageSize: 20, wrapLines: false, stripedRows: false, contentDisplay: [{ id: 'name', visible: true }] }),
        ),
      );
      await page.reload();
      await page.getByRole('row', { name: /page-00/ }).waitFor();
      await page.getByRole('button', { name: 'Next page' }).click();
      await page.getByRole('row', { name: /page-20/ }).waitFor();
      await page.getByRole('button', { name: 'Next page' }).click();
      await page.getByRole('row', { name: /page-44/ }).waitFor();
      assert.ok(await page.getByRole('button', { name: 'Next page' }).isDisabled());
      await page.reload();
      await page.getByRole('row', { name: /page-44/ }).waitFor();
      await page.getByRole('button', { name: 'Previous page' }).click();
      await page.getByRole('row', { name: /page-20/ }).waitFor();
      await page.getByRole('button', { name: 'Page 1', exact: true }).click();
      await page.getByRole('row', { name: /page-00/ }).waitFor();
    },
    { route: '#/images?name_contains=page-&sort=name%3Aasc' },
  );
});
