import assert from 'node:assert/strict';
import { test } from 'node:test';
import { budget, firstLoad } from './load';
import { Stage } from './stage';

const stage = Stage.open();

test('the first load fits into 350 kB', async () => {
  const { bytes, files } = await firstLoad(stage.browser, stage.host);
  assert.ok(files.length > 3 && bytes > 100_000, `it was counted: ${bytes} bytes in ${files.length} files`);
  assert.ok(bytes <= budget, `${bytes} bytes: ${files.map((f) => `${f.name} ${f.bytes}`).join(', ')}`);
});
