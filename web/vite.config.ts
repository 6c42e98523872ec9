import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { leanStyles } from './build/lean-styles';

// The page is served at /ui/ by bulliond and at / by CloudFront: every address in it is relative, and the route is in the fragment.
export default defineConfig({
  base: './',
  plugins: [leanStyles(), react()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the policy of the page allows no data: scripts or fonts
    modulePreload: { polyfill: false }, // the polyfill is an inline script
    chunkSizeWarningLimit: 1500,
  },
  worker: { format: 'es' },
  server: { proxy: proxyTo(process.env['BULLION_URL']) },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});

function proxyTo(url: string | undefined): Record<string, string> {
  return url ? { '/v2': url, '/v3': url } : {};
}
