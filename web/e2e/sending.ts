import type { Locator, Page } from 'playwright-core';

export const MiB = 1 << 20;

/** Creates an image of a raw file, or of several, as a person does. */
export async function create(page: Page, file: string | string[], name?: string): Promise<void> {
  await page.goto(`${page.url().split('#')[0]}#/images/create`);
  await page.getByLabel('Choose files').setInputFiles(file);
  await page
    .getByText(/Found in the file: Raw/)
    .first()
    .waitFor();
  if (name) await page.getByLabel('Image Name').fill(name);
  await page.getByRole('button', { name: /^Create (\d+ )?Images?$/ }).click();
}

/** What the page shows of an upload. */
export const card = (page: Page, name: string): Locator => page.getByRole('article', { name: `Upload of ${name}` }).first();
