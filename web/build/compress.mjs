// Makes the compressed forms of the built files once, so that no server has to: NAME.br and NAME.gz beside each that gets smaller.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = new URL('../dist/', import.meta.url).pathname;
for (const name of readdirSync(root, { recursive: true })) {
  const path = join(root, String(name));
  if (!statSync(path).isFile() || !/\.(js|css|html|svg|wasm|json)$/.test(path)) continue;
  const whole = readFileSync(path);
  const forms = {
    br: brotliCompressSync(whole, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: whole.length } }),
    gz: gzipSync(whole, { level: 9 }),
  };
  for (const [form, small] of Object.entries(forms)) if (small.length < whole.length * 0.95) writeFileSync(`${path}.${form}`, small);
}
