import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from './api';
import { accessible } from './axe';
import { Person } from './browser';
import { startHostWith } from './host';
import { Stage } from './stage';

const stage = Stage.open();

test('a reader sees the images and is offered nothing that changes them', async () => {
  const api = await stage.api('member');
  const id = await api.active('to be read');
  await stage.as('reader', async ({ page }) => {
    await page.getByRole('row', { name: /to be read/ }).waitFor();
    assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Create Image' }).count(), 0);
    await page.getByText('Create Image', { exact: true }).first().hover();
    await page
      .getByText('The policy of the service does not allow it to your role in the project, Reader.')
      .filter({ visible: true })
      .first()
      .waitFor();
    await page.getByRole('checkbox', { name: 'Choose to be read' }).check();
    await page.getByRole('button', { name: 'Delete Images' }).click();
    await page
      .getByRole('dialog')
      .getByText('The policy of the service does not allow it to your role in the project, Reader.')
      .first()
      .waitFor();
    assert.equal(await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).getAttribute('aria-disabled'), 'true');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.goto(`${page.url().split('#')[0]}#/images/${id}`);
    await page.getByRole('heading', { name: 'to be read', exact: true }).waitFor();
    for (const name of ['Edit Image', 'Download']) {
      assert.equal(
        await page.getByRole('button', { name }).or(page.getByRole('link', { name })).first().getAttribute('aria-disabled'),
        'true',
        `${name} is disabled`,
      );
    }
    assert.equal(await page.getByRole('tab', { name: 'History' }).count(), 0);
    await page.goto(`${page.url().split('#')[0]}#/images/create`);
    await page.getByText('You cannot create images in this project').first().waitFor();
  });
});

test('a member cannot publish, and an administrator sees every project', async () => {
  const outsider = await stage.api('outsider');
  await outsider.active('of the other project');
  await stage.as(
    'member',
    async ({ page }) => {
      assert.ok(await page.getByLabel('Public').isDisabled());
      assert.equal(await page.getByRole('link', { name: 'Administration' }).count(), 0);
    },
    { route: '#/images/create' },
  );
  await stage.as('admin', async ({ page }) => {
    await page.getByRole('tab', { name: 'All projects' }).click();
    await page.getByRole('row', { name: /of the other project/ }).waitFor();
    await page.getByRole('link', { name: 'Administration' }).click();
    await page.getByRole('row', { name: /other/ }).getByRole('link', { name: 'Show images of other' }).click();
    await page.getByRole('row', { name: /of the other project/ }).waitFor();
    await page.getByRole('link', { name: 'Administration' }).click();
    await page.getByRole('tab', { name: 'People and roles' }).click();
    await page
      .getByRole('row', { name: /outsider/ })
      .getByText('Member', { exact: true })
      .first()
      .waitFor();
    await page.getByRole('tab', { name: 'Projects' }).click();
    await page.getByRole('row', { name: /other/ }).getByText('1 of 2,000').first().waitFor();
    await page.getByRole('tab', { name: 'Policy' }).click();
    await page.getByLabel('Find a rule').fill('publicize');
    await page
      .getByRole('row', { name: /publicize_image/ })
      .getByText('rule:context_is_admin')
      .first()
      .waitFor();
  });
});

test('an administrator sees what projects use and download, and changes a quota, which then holds', async () => {
  const outsider = await stage.api('outsider');
  await stage.as(
    'admin',
    async (person) => {
      const { page } = person;
      const row = page.getByRole('row', { name: /^other/ });
      await row.getByText(/of 2,000/).waitFor();
      await row.getByText('1 TiB').waitFor();
      await page.getByRole('columnheader', { name: 'Downloaded this month' }).waitFor();
      await page.getByRole('button', { name: 'Edit quota of other' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Images').fill('a few');
      await dialog.getByText('Enter a whole number from 0, or nothing.').first().waitFor();
      await accessible(person, 'the quota of a project');
      assert.equal(await dialog.getByRole('button', { name: 'Save changes' }).getAttribute('aria-disabled'), 'true');
      await dialog.getByLabel('Images').fill('0');
      await dialog.getByLabel('Storage (GiB)').fill('1.5');
      await dialog.getByLabel('Open uploads').fill('');
      await dialog.getByRole('button', { name: 'Save changes' }).click();
      await page.getByText('The quota of other is saved.').first().waitFor();
      await row.getByText(/of 1.5 GiB/).waitFor();
      await assert.rejects(outsider.create('one more'), /quota of images is 0/);
      await page.getByRole('button', { name: 'Edit quota of other' }).click();
      assert.equal(await dialog.getByLabel('Open uploads').inputValue(), '');
      await dialog.getByRole('button', { name: 'As every project' }).click();
      await page.getByText('other may use what every project may.').first().waitFor();
      await row.getByText(/of 2,000/).waitFor();
    },
    { route: '#/admin', bypassCSP: true },
  );
});

test('where the policy lets only administrators manage, a member is offered downloads and nothing else', async () => {
  const host = await startHostWith('admin-only');
  try {
    const id = await (await Api.as(host, 'admin')).active('run by others', { visibility: 'shared' });
    const member = await Person.arrive(stage.browser, host);
    const { page } = member;
    await member.signIn('member');
    await page.getByRole('row', { name: /run by others/ }).waitFor();
    assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Create Image' }).count(), 0);
    await page.getByRole('checkbox', { name: 'Choose run by others' }).check();
    await page.getByRole('button', { name: 'Actions' }).click();
    const items = page.getByRole('menuitem');
    await items.filter({ hasText: 'Download' }).waitFor();
    for (const item of await items.all())
      assert.equal(
        (await item.getAttribute('aria-disabled')) === 'true',
        !(await item.textContent())?.startsWith('Download'),
        `${await item.textContent()}`,
      );
    await member.open('#/images/create');
    await page.getByText('You cannot create images in this project').first().waitFor();
    await page.getByText('does not allow it to your role in the project, Member.').first().waitFor();
    await member.open(`#/images/${id}?tab=sharing`);
    await page.getByText('It is shared with nobody yet.').first().waitFor();
    assert.equal(await page.getByRole('combobox', { name: 'Share with a project' }).count(), 0);
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download' }).click();
    await download;
    await member.open('#/project');
    await page.getByText('See and download the images of the project.').first().waitFor();
    await member.leave();

    const admin = await Person.arrive(stage.browser, host);
    await admin.signIn('admin', '#/images/create');
    assert.ok(await admin.page.getByLabel('Public').isEnabled());
    await admin.page.getByText('Choose files').first().waitFor();
    await admin.leave();
  } finally {
    await host.close();
  }
});

test('two projects never see each other’s private images, not even by their address', async () => {
  const api = await stage.api('member');
  const id = await api.active('our secret');
  await stage.as('outsider', async (person) => {
    const { page } = person;
    for (const tab of ['mine', 'public', 'shared', 'all']) {
      await person.open(`#/images?tab=${tab}`);
      await page.getByRole('tab', { selected: true }).waitFor();
      assert.equal(await page.getByText('our secret').count(), 0, `it is not in the tab ${tab}`);
    }
    person.expected.push(/404 \(Not Found\)/);
    await page.goto(`${page.url().split('#')[0]}#/images/${id}`);
    await page.getByText('There is no such image').first().waitFor();
  });
});

test('an image is shared, the other project accepts it, uses it, and rejects it later', async () => {
  const [api, outsider] = [await stage.api('member'), await stage.api('outsider')];
  const id = await api.active('between friends');
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('button', { name: 'Make it shared' }).click();
      await page.getByRole('combobox', { name: 'Share with a project' }).fill(outsider.project);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Share', exact: true }).click();
      await page.getByText('Not answered yet').first().waitFor();
    },
    { route: `#/images/${id}?tab=sharing` },
  );
  await stage.as('outsider', async ({ page }) => {
    await page.getByRole('tab', { name: 'Shared with me' }).click();
    await page.getByRole('link', { name: 'between friends' }).click();
    await page.getByText('Another project shares this image with yours').first().waitFor();
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByText('Your project accepted this image').first().waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download' }).click();
    assert.equal((await download).suggestedFilename(), 'between friends.raw');
    await page.goto(`${page.url().split('#')[0]}#/images?tab=all`);
    await page.getByRole('row', { name: /between friends/ }).waitFor();
    await page.goto(`${page.url().split('#')[0]}#/images?tab=shared&member_status=accepted`);
    await page.getByRole('checkbox', { name: 'Choose between friends' }).check();
    await page.getByRole('button', { name: 'Reject', exact: true }).click();
    await page.getByText('1 image rejected.').first().waitFor();
    await page.getByRole('row', { name: /between friends/ }).waitFor({ state: 'detached' });
  });
  await stage.as(
    'member',
    async ({ page }) => {
      await page.getByRole('cell', { name: 'Rejected' }).waitFor();
      await page.getByRole('button', { name: `Stop sharing with ${outsider.project}` }).click();
      await page.getByText('It is shared with nobody yet.').first().waitFor();
    },
    { route: `#/images/${id}?tab=sharing` },
  );
});

test('everyone sees what the project uses of its quota and what they may do', async () => {
  await stage.as(
    'reader',
    async ({ page }) => {
      await page.getByRole('heading', { name: 'main', exact: true }).waitFor();
      await page
        .getByText(/\d+ of 2,000/)
        .first()
        .waitFor();
      await page.getByText('See the images of the project.', { exact: true }).first().waitFor();
    },
    { route: '#/project' },
  );
  const member = await stage.api('member');
  const outsider = await stage.api('outsider');
  await assert.rejects(member.call('GET', `/v2/info/usage?project_id=${outsider.project}`), /403/);
});
