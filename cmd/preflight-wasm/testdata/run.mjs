// Runs bullionPreflight on every case of a list and prints one answer a line.
// Usage: node run.mjs wasm_exec.js preflight.wasm cases.json
import { createRequire } from 'node:module';
import { open, readFile } from 'node:fs/promises';

const [exec, wasm, list] = process.argv.slice(2);
createRequire(import.meta.url)(exec);
const go = new globalThis.Go();
const { instance } = await WebAssembly.instantiate(await readFile(wasm), go.importObject);
go.run(instance);

for (const c of JSON.parse(await readFile(list, 'utf8'))) {
  const file = await open(c.file);
  const read = async (offset, length) => {
    if (c.fail) throw new Error(c.fail);
    const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  let answer;
  try {
    answer = await globalThis.bullionPreflight({ size: c.size, read, diskFormat: c.disk, containerFormat: c.container });
  } catch (e) {
    answer = { error: e.message };
  }
  console.log(JSON.stringify(answer));
  await file.close();
}
process.exit(0);
