import { test } from 'node:test';
import { line } from './browser';
import { card, create, MiB } from './sending';
import { Stage } from './stage';

const stage = Stage.open();

test('several files at once become a queue, and each becomes an image', async () => {
  const files = [1, 2, 3].map((n) => stage.files.raw(`queue-${n}.raw`, 8 * MiB));
  await stage.as('member', async ({ page }) => {
    await create(page, files);
    for (const n of [1, 2, 3])
      await page
        .getByRole('row', { name: new RegExp(`queue-${n}`) })
        .getByText('Active')
        .first()
        .waitFor();
    // Each was told, on whatever page one was; the messages lie on one another until they are opened.
    await page.getByRole('button', { name: 'All notifications' }).click();
    await page.getByText('3 images are created').first().waitFor();
    for (const n of [1, 2, 3]) await page.getByText(`queue-${n} is uploaded and active.`).first().waitFor();
  });
});

test('without a network it waits, and goes on by itself', async () => {
  const file = stage.files.raw('offline.raw', 128 * MiB);
  await stage.as('member', async (person) => {
    const { page, context } = person;
    person.expected.push(/ERR_INTERNET_DISCONNECTED/, /net::ERR_FAILED/);
    await line(page, 2);
    await create(page, file, 'offline');
    await card(page, 'offline')
      .getByText(/[kM]B\/s|Starting/)
      .first()
      .waitFor();
    await context.setOffline(true);
    await card(page, 'offline').getByText('There is no network.').first().waitFor();
    await context.setOffline(false);
    await line(page, 0);
    await page.getByText('Active', { exact: true }).first().waitFor();
  });
});

test('a second tab does not send what the first is sending', async () => {
  const file = stage.files.raw('twice.raw', 128 * MiB);
  await stage.as('member', async ({ page, context }) => {
    await line(page, 2); // the second tab comes while it is under way, however slow the test
    await create(page, file, 'twice');
    await card(page, 'twice')
      .getByText(/[kM]B\/s|Starting/)
      .first()
      .waitFor();
    const second = await context.newPage();
    await second.goto(page.url());
    await second.getByRole('heading', { name: 'twice', exact: true }).waitFor(); // the session came along
    await second.getByLabel('Choose the file to go on with the upload of twice').first().setInputFiles(file);
    await second
      .getByText(/The image is being uploaded in another tab of this browser/)
      .first()
      .waitFor();
    await line(page, 0);
    await page.getByText('Active', { exact: true }).first().waitFor();
    await second.getByText('Active', { exact: true }).first().waitFor(); // without a reload
  });
});
