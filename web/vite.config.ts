import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { leanModules, leanStyles } from './build/lean.ts';

// The page is served at /ui/ by bulliond and at / by CloudFront: every address in it is relative, and the route is in the fragment.
export default defineConfig({
  base: './',
  plugins: [leanStyles(), leanModules(), react()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the policy of the page allows no data: scripts or fonts
    modulePreload: { polyfill: false }, // the polyfill is an inline script
    chunkSizeWarningLimit: 1500,
    // What the first view needs is one file, not one for each set of pages that share something: fewer headers, and better compression.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: firstView, debugName: 'first view' }] } } },
  },
  worker: { format: 'es' },
  server: { proxy: proxyTo(process.env['BULLION_URL']) },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});

const first = new Set<string>();

/** Names the chunk of a module: one for all that the entry reaches without a dynamic import, the bundler's choice for the rest. */
function firstView(id: string, context: { getModuleInfo(id: string): { importedIds: string[] } | null }): string | null {
  if (first.size === 0) reach(fileURLToPath(new URL('./src/main.tsx', import.meta.url)));
  return first.has(id) ? 'main' : null;

  function reach(from: string): void {
    if (first.has(from)) return;
    first.add(from);
    for (const next of context.getModuleInfo(from)?.importedIds ?? []) reach(next);
  }
}

function proxyTo(url: string | undefined): Record<string, string> {
  return url ? { '/v2': url, '/v3': url } : {};
}
