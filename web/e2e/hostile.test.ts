import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Stage } from './stage';

const stage = Stage.open();

test('a hostile file is refused before a byte of it is sent, with the reason', async () => {
  const file = stage.files.hostile('innocent.qcow2');
  await stage.as('member', async (person) => {
    const { page } = person;
    let sent = 0;
    page.on('request', (r) => {
      if (r.method() !== 'GET') sent++;
    });
    await page.goto(`${page.url().split('#')[0]}#/images/create`);
    await page.getByLabel('Choose files').setInputFiles(file);
    await page
      .getByText(/The qcow2 image has a backing file/)
      .first()
      .waitFor();
    await page.getByLabel('Image Name').fill('innocent');
    await page.getByRole('button', { name: 'Create Image', exact: true }).click();
    await page.getByText('Something is missing or wrong; see the fields above.').first().waitFor();
    await person.still();
    assert.equal(sent, 0, 'neither a record nor a byte was sent');
  });
});

test('a file that is no disk, an empty one and one of another format are refused too', async () => {
  await stage.as(
    'member',
    async ({ page }) => {
      await page
        .getByLabel('Choose files')
        .setInputFiles(stage.files.text('page.html', `<!doctype html>${'<p>not a disk</p>'.repeat(200)}`));
      await page
        .getByText(/not a disk/)
        .first()
        .waitFor();
      await page.getByRole('button', { name: 'Remove page.html' }).click();
      await page.getByLabel('Choose files').setInputFiles(stage.files.text('empty.raw', ''));
      await page.getByText('The file is empty.').first().waitFor();
      await page.getByRole('button', { name: 'Remove empty.raw' }).click();
      await page.getByLabel('Choose files').setInputFiles(stage.files.raw('disk.raw', 8 << 20));
      await page
        .getByText(/Found in the file: Raw/)
        .first()
        .waitFor();
      await page.getByRole('button', { name: /Format/ }).click();
      await page.getByRole('option', { name: 'QCOW2' }).click();
      await page
        .getByText(/disk_format says qcow2, but the file has no qcow2 header/)
        .first()
        .waitFor();
    },
    { route: '#/images/create' },
  );
});

test('a hostile file that another client sent is refused by the service, and the page shows why', async () => {
  const api = await stage.api('member');
  const id = await api.create('sent by another client', { disk_format: 'qcow2' });
  await api.upload(id, readFileSync(stage.files.hostile('sent.qcow2')));
  await stage.as('member', async ({ page }) => {
    await page
      .getByRole('row', { name: /sent by another client/ })
      .getByText('Queued · refused')
      .click();
    await page
      .getByText(/The qcow2 image has a backing file/)
      .first()
      .waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'sent by another client' }).click();
    await page
      .getByTestId('rejection')
      .getByText(/The qcow2 image has a backing file/)
      .first()
      .waitFor();
    // Another file may be given to the same image.
    await page.getByText('Give it a file').first().waitFor();
  });
});

test('text that people enter stays text, wherever it is shown', async () => {
  const evil = `"><img src=x onerror="window.owned=1"><script>window.owned=1</script>{{7*7}}`;
  const link = 'javascript:window.owned=1';
  const [api, admin, outsider] = [await stage.api('member'), await stage.api('admin'), await stage.api('outsider')];
  const id = await api.create(evil, {
    description: evil,
    tags: [evil, link],
    [evil.slice(0, 60)]: evil,
    os_distro: evil,
    os_version: evil,
    architecture: evil,
    visibility: 'shared',
    homepage: link,
  });
  await api.call('POST', `/v2/images/${id}/members`, { member: outsider.project });
  await admin.upload(id, Buffer.from(`${evil} is not a disk`.repeat(30))); // its refusal quotes what was sent, as far as it does
  await stage.as('member', async (person) => {
    const { page } = person;
    const clean = async (where: string) => {
      await person.still();
      assert.equal(await page.evaluate(() => (window as unknown as { owned?: number }).owned), undefined, where);
      assert.equal(await page.locator('img[src="x"]').count(), 0, where);
      assert.equal(await page.locator('a[href^="javascript:"]').count(), 0, where);
    };
    await page.getByText(evil.slice(0, 30)).first().waitFor();
    await clean('the list');
    for (const tab of ['properties', 'sharing', 'history', 'commands']) {
      await page.goto(`${page.url().split('#')[0]}#/images/${id}?tab=${tab}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await clean(tab);
    }
    const commands = await page.locator('pre').allTextContents();
    for (const text of commands) assert.doesNotMatch(text, /[<>`;&*]/, `what a shell would read: ${text}`);
    await page.goto(`${page.url().split('#')[0]}#/images/${id}/edit`);
    await page.getByLabel('Image Name').waitFor();
    await clean('edit');
    await page.goto(`${page.url().split('#')[0]}#/images?prop.os_distro=${encodeURIComponent(evil)}&tag=${encodeURIComponent(evil)}`);
    await page.getByText('Clear filters').first().waitFor();
    await clean('filter');
    await page.getByRole('checkbox', { name: 'Choose all on this page' }).press('Space');
    await page.getByRole('button', { name: 'Delete Images' }).click();
    await page.getByRole('dialog').waitFor();
    await clean('the dialog');
  });
});

test('the policy of the page lets no foreign script run, and a page cannot be framed', async () => {
  const response = await fetch(stage.host.url);
  const policy = response.headers.get('Content-Security-Policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|\*/);
  await stage.as('member', async (person) => {
    person.expected.push(/CSP: |Content Security Policy/);
    const ran = await person.page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.__ran = true';
      document.body.append(script);
      return (window as unknown as { __ran?: boolean }).__ran === true;
    });
    assert.equal(ran, false);
  });
});
