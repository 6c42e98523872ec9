import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessible } from './axe';
import { line, Person } from './browser';
import { budget, firstLoad } from './load';
import { Stage } from './stage';
import { until } from './until';

const stage = Stage.open();

test('axe finds no violation on any page, light or dark', async () => {
  const [api, outsider] = [await stage.api('member'), await stage.api('outsider')];
  const id = await api.active('looked at', {
    tags: ['a', 'b'],
    description: 'Words',
    os_distro: 'debian',
    visibility: 'shared',
    protected: true,
  });
  await api.call('POST', `/v2/images/${id}/members`, { member: outsider.project });
  const refused = await api.create('refused', { disk_format: 'qcow2' });
  await api.upload(refused, Buffer.from('not a disk'.repeat(100)));

  const gate = await Person.arrive(stage.browser, stage.host, { bypassCSP: true });
  await gate.page.goto(stage.host.url);
  await gate.page.getByLabel('User name').waitFor();
  await accessible(gate, 'sign-in');
  await gate.leave();

  await stage.as(
    'admin',
    async (person) => {
      const { page } = person;
      const go = (route: string) => person.open(route);
      person.expected.push(/404 \(Not Found\) .*partNumber=/); // a part may reach the storage after the cancellation
      await page
        .getByRole('row', { name: /looked at/ })
        .first()
        .waitFor();
      await accessible(person, 'images');
      await page
        .getByRole('row', { name: /refused/ })
        .getByText('Queued · refused')
        .click();
      await accessible(person, 'the reason of a refusal');
      await page.keyboard.press('Escape');
      await page.getByRole('checkbox', { name: 'Choose looked at' }).check();
      await page.getByRole('button', { name: 'Delete Images' }).click();
      await page.getByRole('dialog').waitFor();
      await accessible(person, 'delete');
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      for (const action of ['Change visibility', 'Add a tag', 'Deactivate']) {
        await page.getByRole('button', { name: 'Actions' }).click();
        await page.getByRole('menuitem', { name: action }).click();
        await page.getByRole('dialog').waitFor();
        await accessible(person, action);
        await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      }
      await page.getByRole('button', { name: 'Preferences' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).waitFor();
      await accessible(person, 'preferences');
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).last().click();
      await go('#/images?tab=shared');
      await page.getByText('There is nothing here').first().waitFor();
      await accessible(person, 'shared, empty');
      for (const tab of ['properties', 'sharing', 'history', 'commands']) {
        await go(`#/images/${id}?tab=${tab}`);
        await page.getByRole('tab', { selected: true }).waitFor();
        await accessible(person, `image, ${tab}`);
      }
      await go(`#/images/${refused}`);
      await page.getByTestId('rejection').waitFor();
      await accessible(person, 'refused');
      await go('#/images/create');
      await page.getByLabel('Choose files').setInputFiles(stage.files.raw('looks.raw', 200 << 20));
      await page
        .getByText(/Found in the file/)
        .first()
        .waitFor();
      await page.getByText('Operating system and requirements').click();
      await page.getByText('Tags and metadata').click();
      await page.getByRole('button', { name: 'Add a property' }).click();
      await accessible(person, 'create');
      await line(page, 2); // it is still under way when axe has looked, however slow that is
      await page.getByRole('button', { name: 'Create Image', exact: true }).click();
      await page
        .getByRole('article', { name: /Upload of/ })
        .first()
        .waitFor();
      await page.getByRole('button', { name: 'Show uploads' }).click();
      await accessible(person, 'upload, with the panel');
      await page
        .getByRole('button', { name: /Cancel the upload/ })
        .first()
        .click();
      await go(`#/images/${id}/edit`);
      await page.getByLabel('Image Name').waitFor();
      await accessible(person, 'edit');
      await go('#/connect');
      await page.getByText('Your settings').first().waitFor();
      await accessible(person, 'command line');
      await go('#/admin');
      await page.getByRole('row', { name: /main/ }).first().waitFor();
      await accessible(person, 'administration');
      await go('#/admin/policy');
      await page.getByRole('row', { name: /publicize_image/ }).waitFor();
      await accessible(person, 'policy');
      await go('#/project');
      await page
        .getByText(/of 2,000/)
        .first()
        .waitFor();
      await accessible(person, 'project');
    },
    { bypassCSP: true },
  );
});

test('everything can be done by keyboard alone: sign in, choose, delete', async () => {
  const api = await stage.api('member');
  const id = await api.create('by keyboard');
  const person = await Person.arrive(stage.browser, stage.host);
  const { page } = person;
  await page.goto(stage.host.url);
  const name = page.getByLabel('User name');
  await until('the name has the focus', () => name.evaluate((e) => e === document.activeElement));
  await page.keyboard.type('member');
  await page.keyboard.press('Tab');
  await page.keyboard.type(stage.host.passwords.member);
  await page.keyboard.press('Enter');
  await page.getByRole('row', { name: /by keyboard/ }).waitFor();
  /** Presses a key until the focus is on something of that name. */
  const reach = async (name: RegExp, key = 'Tab') => {
    for (let step = 0; step < 80; step++) {
      const focused = await page.evaluate(async () => {
        await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))); // the focus may follow a key a moment later
        const e = document.activeElement;
        return `${e?.getAttribute('aria-label') ?? ''} ${e?.textContent ?? ''}`.trim();
      });
      if (name.test(focused)) return;
      await page.keyboard.press(key);
    }
    throw new Error(`${name} is not reached by ${key}`);
  };
  await reach(/Choose all on this page/);
  await reach(/Choose by keyboard/, 'ArrowDown');
  await page.keyboard.press('Space');
  await reach(/^Delete Images/, 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await reach(/^Delete$/);
  await page.keyboard.press('Enter');
  await page.getByText('Image by keyboard deleted.').first().waitFor();
  await assert.rejects(api.call('GET', `/v2/images/${id}`), /404/);
  await person.leave();
});

test('nothing is wider than a small screen', async () => {
  const api = await stage.api('member');
  const id = await api.active('an image with a name that is much longer than a telephone is wide, without an end in sight', {
    tags: ['w'.repeat(120)],
    description: 'w'.repeat(400),
  });
  await stage.as(
    'member',
    async (person) => {
      for (const route of [
        '#/images',
        `#/images/${id}`,
        `#/images/${id}?tab=commands`,
        `#/images/${id}/edit`,
        '#/images/create',
        '#/connect',
      ]) {
        await person.open(route);
        const [width, screen] = await person.page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
        assert.ok((width ?? 0) <= (screen ?? 0), `${route} is ${width} wide on a screen of ${screen}`);
      }
    },
    { viewport: { width: 360, height: 740 } },
  );
});

test('the first load fits into 350 kB', async () => {
  const { bytes, files } = await firstLoad(stage.browser, stage.host);
  assert.ok(files.length > 3 && bytes > 100_000, `it was counted: ${bytes} bytes in ${files.length} files`);
  assert.ok(bytes <= budget, `${bytes} bytes: ${files.map((f) => `${f.name} ${f.bytes}`).join(', ')}`);
});
