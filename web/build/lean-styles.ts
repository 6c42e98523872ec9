import type { Plugin } from 'vite';

/**
 * Cloudscape's global styles carry eight fonts as data: URLs, 180 kB that every visitor would wait for and that the page's policy refuses.
 * This keeps the two that the dashboard uses, upright 400 and 700, as files of their own, and drops the others.
 */
export function leanStyles(): Plugin {
  let building = false;
  return {
    name: 'lean-styles',
    enforce: 'pre',
    configResolved(config) {
      building = config.command === 'build';
    },
    transform(code, id) {
      if (!building || !id.includes('@cloudscape-design/global-styles/index.css')) return null;
      const kept: string[] = [];
      const rest = code.replace(/@font-face\s*{[^}]*}/g, (face) => {
        const weight = /font-weight:\s*(\d+)/.exec(face)?.[1];
        const data = /url\('data:font\/woff2;base64,([^']+)'\)/.exec(face)?.[1];
        if (!data || !/font-style:\s*normal/.test(face) || (weight !== '400' && weight !== '700')) return '';
        const file = this.emitFile({ type: 'asset', name: `open-sans-${weight}.woff2`, source: Buffer.from(data, 'base64') });
        kept.push(weight);
        // Vite resolves the reference when it writes the style sheet.
        return `@font-face{font-family:'Open Sans';font-weight:${weight};font-style:normal;font-display:swap;src:url('__VITE_ASSET__${file}__') format('woff2')}`;
      });
      if (kept.length !== 2) this.error(`expected the fonts Open Sans 400 and 700 in ${id}, found ${kept.join(', ') || 'none'}`);
      return { code: rest, map: null };
    },
  };
}
