// Builds the check of files for the browser from the Go package that the service itself uses, and puts Go's own loader beside it.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const web = new URL('..', import.meta.url).pathname;
const out = join(web, 'src/create/generated');
const go = (args, env) => execFileSync('go', args, { cwd: join(web, '..'), env: { ...process.env, ...env }, encoding: 'utf8' });
mkdirSync(out, { recursive: true });
go(['build', '-trimpath', '-ldflags=-s -w', '-o', join(out, 'preflight.wasm'), './cmd/preflight-wasm'], { GOOS: 'js', GOARCH: 'wasm' });
copyFileSync(join(go(['env', 'GOROOT']).trim(), 'lib/wasm/wasm_exec.js'), join(out, 'wasm_exec.js'));
