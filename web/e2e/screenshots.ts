import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { Api, disk } from './api';
import { line, Person, startBrowser } from './browser';
import { Files } from './files';
import { startHost } from './host';

/** Makes a picture of every page, light and dark, in docs/screenshots. */
const out = resolve(process.argv[2] ?? '../docs/screenshots');
mkdirSync(out, { recursive: true });

const seeds: [name: string, attributes: Record<string, unknown>, size: number][] = [
  [
    'ubuntu-24.04-server',
    {
      os_distro: 'ubuntu',
      os_version: '24.04',
      architecture: 'x86_64',
      tags: ['lts', 'stable'],
      visibility: 'public',
      description: 'Ubuntu 24.04 LTS',
    },
    31,
  ],
  ['rocky-9.4', { os_distro: 'rocky', os_version: '9.4', architecture: 'x86_64', tags: ['stable'], visibility: 'public' }, 27],
  [
    'windows-server-2025',
    { os_distro: 'windows', os_version: '2025', architecture: 'x86_64', tags: ['licensed'], protected: true, min_disk: 60, min_ram: 4096 },
    44,
  ],
  ['alpine-3.22', { os_distro: 'alpine', os_version: '3.22', architecture: 'aarch64', tags: ['small'] }, 3],
  ['freebsd-14.3', { os_distro: 'freebsd', os_version: '14.3', architecture: 'x86_64' }, 12],
  [
    'build-runner-2026-11',
    { os_distro: 'debian', os_version: '12', architecture: 'x86_64', tags: ['ci', 'nightly'], visibility: 'shared' },
    21,
  ],
  ['build-runner-2026-10', { os_distro: 'debian', os_version: '12', architecture: 'x86_64', tags: ['ci'], visibility: 'shared' }, 20],
  ['fedora-43', { os_distro: 'fedora', os_version: '43', architecture: 'x86_64', visibility: 'community' }, 18],
];

const files = new Files();
const host = await startHost();
const browser = await startBrowser();
try {
  const [admin, member, outsider] = [await Api.as(host, 'admin'), await Api.as(host, 'member'), await Api.as(host, 'outsider')];
  for (const [name, attributes, mebibytes] of seeds) {
    const api = attributes['visibility'] === 'public' ? admin : member;
    const id = await api.create(name, attributes);
    await api.upload(id, disk(mebibytes << 20, name));
    if (name === 'build-runner-2026-10') await member.call('POST', `/v2/images/${id}/actions/deactivate`);
    if (name === 'build-runner-2026-11') await member.call('POST', `/v2/images/${id}/members`, { member: outsider.project });
  }
  const refused = await member.create('downloaded-from-somewhere', { disk_format: 'qcow2' });
  await member.upload(refused, Buffer.from('<!doctype html><title>404 Not Found</title>'.repeat(40)));
  const offered = await outsider.create('golden-base', { visibility: 'shared', os_distro: 'debian', os_version: '13' });
  await outsider.upload(offered, disk(9 << 20, 'golden'));
  await outsider.call('POST', `/v2/images/${offered}/members`, { member: member.project });

  for (const scheme of ['light', 'dark'] as const) {
    const options = { viewport: { width: 1512, height: 860 }, colorScheme: scheme, deviceScaleFactor: 1 };
    const person = await Person.arrive(browser, host, options);
    const { page } = person;
    const shot = async (name: string) => {
      await page.mouse.move(0, 0);
      await picture(person, `${name}-${scheme}`);
    };
    await page.goto(host.url);
    await page.getByLabel('User name').waitFor();
    await shot('sign-in');
    await person.signIn('member');
    await person.open('#/images/create');
    await page.getByLabel('Choose files').setInputFiles(files.debian());
    await page.getByText(/Found in the file/).waitFor();
    const name = `debian-12-${scheme === 'light' ? 'cloud' : 'nightly'}`;
    await page.getByLabel('Image Name').fill(name);
    await shot('create');
    await page.getByLabel('Image Description').fill('Debian 12 for the cloud, boots with BIOS and UEFI');
    await line(page, 12);
    await page.getByRole('button', { name: 'Create Image', exact: true }).click();
    await page
      .getByRole('article', { name: `Upload of ${name}` })
      .getByText(/left/)
      .first()
      .waitFor();
    const shown = /images\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
    await shot('upload');
    await person.open('#/images');
    await page.getByRole('button', { name: 'Show uploads' }).click();
    await shot('uploads');
    await page.getByRole('button', { name: 'Hide uploads' }).click();
    await page.getByRole('button', { name: 'Dismiss', exact: true }).first().click();
    await shot('images');
    await line(page, 0);
    await page
      .getByRole('row', { name: new RegExp(name) })
      .getByText('Active')
      .waitFor();
    await person.open('#/images?tab=shared');
    await shot('shared');
    await person.open('#/images?status=in%3Aactive%2Cqueued&prop.os_distro=debian');
    await shot('filter');
    await person.open('#/images');
    await page.getByRole('checkbox', { name: 'Choose alpine-3.22' }).check();
    await page.getByRole('checkbox', { name: 'Choose windows-server-2025' }).check();
    await page.getByRole('button', { name: 'Delete Images' }).click();
    await page.getByRole('dialog').waitFor();
    await shot('delete');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await person.open(`#/images/${shown}`);
    await shot('image');
    await person.open(`#/images/${shown}?tab=history`);
    await page.getByRole('tab', { name: 'History' }).scrollIntoViewIfNeeded();
    await page.mouse.wheel(0, 900);
    await shot('history');
    await person.open(`#/images/${refused}`);
    await shot('refused');
    await person.open(`#/images/${shown}/edit`);
    await shot('edit');
    await person.open('#/project');
    await shot('project');
    await person.open('#/connect');
    await shot('connect');
    await person.context.close();

    const boss = await Person.arrive(browser, host, options);
    await boss.signIn('admin', '#/admin');
    await picture(boss, `admin-${scheme}`);
    await boss.open('#/admin/policy');
    await picture(boss, `policy-${scheme}`);
    await boss.context.close();

    const phone = await Person.arrive(browser, host, { ...options, viewport: { width: 390, height: 760 } });
    await phone.signIn('member');
    await picture(phone, `phone-images-${scheme}`);
    await phone.open(`#/images/${shown}`);
    await picture(phone, `phone-image-${scheme}`);
    await phone.context.close();
  }
} finally {
  await browser.close();
  await host.close();
  files.remove();
}

async function picture(person: Person, name: string): Promise<void> {
  await person.still();
  await person.page.screenshot({ path: `${out}/${name}.jpg`, type: 'jpeg', quality: 75 });
}
