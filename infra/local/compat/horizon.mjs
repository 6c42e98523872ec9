// What a person does in Horizon with images, in Chromium. horizon.py starts it and tells it where.
import { createRequire } from 'node:module';

const { base, mode, password, file, md5, pictures, browser } = JSON.parse(process.argv[2]);
const { chromium } = createRequire(`${browser}/package.json`)('playwright-core');

// An administrator works where Horizon passes the bytes on, a member where the browser sends them.
const user = mode === 'legacy' ? 'root' : 'first';
const admin = user === 'root';
const projects = admin ? ['first', 'operators'] : ['first', 'second']; // the work is in the second
const name = `horizon ${mode}`;
const renamed = `renamed ${mode}`;

const chrome = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await chrome.newPage({ viewport: { width: 1400, height: 1000 } });
page.setDefaultTimeout(120_000);
const refused = [];
page.on('response', (r) => {
  if (r.status() >= 400) refused.push(`${r.status()} ${r.request().method()} ${r.url()}`);
});
const sent = [];
page.on('request', (r) => {
  if (r.method() === 'PUT' && r.url().endsWith('/file')) sent.push(r.url());
});

const row = (text) => page.locator('tr:not(.detail-row)', { has: page.locator('td', { hasText: text }) });
const button = (text) => page.getByRole('button', { name: text });
const dialog = (text) => page.locator('.modal-footer').getByRole('button', { name: text });
const gone = () => page.locator('.modal-dialog').waitFor({ state: 'detached' });

/** What shows the project in which one is; the next shows the user. */
const current = page.locator('a.dropdown-toggle').first();

async function signIn(word) {
  await page.getByLabel('User Name').fill(user);
  await page.getByLabel('Password', { exact: true }).fill(word);
  await page.locator('#loginBtn').click();
}

async function action(text) {
  await row(mode).locator('.dropdown-toggle').click();
  await row(mode).getByRole('menuitem', { name: text }).click();
}

function must(holds, why) {
  if (!holds) throw new Error(why);
}

const forAdministrators = 'not offered to a member';

// Each does one thing, or returns why not.
const steps = {
  'a wrong password is refused': async () => {
    await page.goto(`${base}/auth/login/`);
    await signIn('not this one');
    await page.getByText('Invalid credentials').waitFor();
  },
  'sign in': async () => {
    await signIn(password);
    await button('Create Image').waitFor();
    await current.filter({ hasText: new RegExp(projects.join('|')) }).waitFor(); // which of them one arrives in is Keystone's choice
  },
  'choose a project': async () => {
    for (const project of projects) {
      if ((await current.innerText()).includes(project)) continue;
      await current.click();
      await page.locator('.dropdown-menu a', { hasText: project }).first().click();
      await current.filter({ hasText: project }).waitFor();
    }
    await page.getByText('No items to display.').waitFor();
  },
  'Create Image': async () => {
    await button('Create Image').click();
    await page.locator('#imageForm-name').fill(name);
    await page.locator('#imageForm-description').fill('made in a page');
    const choice = page.waitForEvent('filechooser');
    await page.locator('#imageForm-image_file').click();
    await (await choice).setFiles(file);
    await page.locator('#imageForm-format').selectOption({ label: 'Raw' });
    await dialog('Create Image').click();
    await gone();
    must((sent.length > 0) === (mode === 'direct'), `the browser sent the bytes itself ${sent.length} times`);
  },
  'the image is active': async () => {
    const active = row(name).filter({ hasText: 'Active' });
    // Horizon does not know the status importing, and does not look again at a row that had it.
    for (let tries = 12; tries > 1; tries--) {
      if (await active.waitFor({ timeout: 10_000 }).then(() => true, () => false)) return;
      await page.reload();
    }
    await active.waitFor();
  },
  'Edit Image': async () => {
    await action('Edit Image');
    await page.locator('#imageForm-name').fill(renamed);
    await page.locator('#imageForm-description').fill('changed in a page');
    if (admin) await page.locator('label.btn', { hasText: 'Public' }).click();
    await dialog('Update Image').click();
    await gone();
    await row(renamed)
      .filter({ hasText: admin ? 'Public' : 'Shared' })
      .waitFor();
  },
  'Update Metadata': async () => {
    if (!admin) return forAdministrators; // Horizon offers it to those who may change the catalogue of metadata
    await action('Update Metadata');
    const catalogue = page.locator('.metadata-list-group .list-group-item', { hasText: 'Watchdog' });
    await catalogue.first().locator('a.btn').click();
    await page.locator('input[name=customItem]').fill('colour');
    await page.locator('.list-group-item', { has: page.locator('input[name=customItem]') }).getByRole('button').click();
    await page.locator('.metadata-tree-item', { hasText: 'colour' }).locator('input[name=property]').fill('dark blue');
    await dialog('Save').click();
    await gone();
  },
  'details of an image': async () => {
    await row(renamed).getByRole('link', { name: renamed }).click();
    for (const text of [md5, 'changed in a page', '3.00 MB', ...(admin ? ['dark blue'] : [])]) await page.getByText(text).first().waitFor();
    await page.goto(`${base}/project/images/`);
  },
  'Delete Image': async () => {
    await row(renamed).waitFor();
    await action('Delete Image');
    await page.locator('.modal-body', { hasText: renamed }).waitFor();
    await dialog('Delete Image').click();
    await gone();
    await page.getByText('No items to display.').waitFor();
  },
  'Application Credentials': async () => {
    await page.goto(`${base}/identity/application_credentials/`);
    await page.getByRole('link', { name: 'Create Application Credential' }).click();
    await page.locator('#id_name').fill(name);
    await page.locator('.modal-footer input[type=submit]').click();
    await page.getByText('Your Application Credential').waitFor();
    await page.goto(`${base}/identity/application_credentials/`);
    await row(name).waitFor();
  },
  'Projects, Users and Roles': async () => {
    await page.goto(`${base}/identity/`);
    await row('first').first().waitFor();
    if (!admin) return;
    await page.goto(`${base}/identity/users/`);
    await row('watcher').first().waitFor();
    await page.goto(`${base}/identity/roles/`);
    await row('reader').first().waitFor();
  },
  'images of all projects': async () => {
    if (!admin) return forAdministrators;
    await page.goto(`${base}/admin/images/`);
    await button('Create Image').waitFor();
    await page.goto(`${base}/admin/metadata_defs/`);
    await row('Watchdog').first().waitFor();
  },
  'sign out': async () => {
    await page.goto(`${base}/auth/logout/`);
    await page.locator('#loginBtn').waitFor();
    await page.goto(`${base}/project/images/`);
    await page.locator('#loginBtn').waitFor();
  },
};

let failed = 0;
for (const [what, step] of Object.entries(steps)) {
  const began = Date.now();
  refused.length = 0;
  try {
    const not = await step();
    console.log(`horizon ${mode}: ${what}: ${not ?? `${((Date.now() - began) / 1000).toFixed(1)} s`}`);
  } catch (e) {
    failed++;
    const picture = `${pictures}/${mode}-${what.replaceAll(' ', '-')}.png`;
    await page.screenshot({ path: picture });
    console.log(`FAIL horizon ${mode}: ${what}: ${e.message}\nRefused: ${refused.join('; ') || 'nothing'}. The page: ${picture}`);
    break; // the rest needs it
  }
}
await chrome.close();
process.exit(failed);
