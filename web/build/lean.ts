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

/**
 * Leaves out of the build what Cloudscape carries and the dashboard never runs, each time by a whole module:
 *
 *   - the drawer of feature announcements, which brings a library for drag and drop to every page;
 *   - the parser of message texts: Cloudscape's come parsed;
 *   - the texts of components that are not used.
 */
export function leanModules(): Plugin {
  const drawer = '/visual-refresh-toolbar/drawer/feature-notifications-drawer-content.js';
  const parser = /^@formatjs\/icu-messageformat-parser$/;
  const texts = '/i18n/messages/all.en.js';
  const unused =
    /^(\[charts\]|annotation-context|area-chart|calendar|cards|code-editor|date-picker|date-range-picker|features-notification-drawer|help-panel|pie-chart|prompt-input|s3-resource-selector|slider|split-panel|tag-editor|tree-view|tutorial-panel|wizard)$/;
  const done = new Set<string>();
  let building = false;
  return {
    name: 'lean-modules',
    enforce: 'pre',
    configResolved(config) {
      building = config.command === 'build';
    },
    resolveId(source, importer) {
      if (!building || !parser.test(source)) return null;
      done.add('parser');
      return this.resolve('@formatjs/icu-messageformat-parser/lib/no-parser.js', importer, { skipSelf: true });
    },
    transform(code, id) {
      if (!building) return null;
      if (id.endsWith(drawer)) {
        done.add('drawer');
        return { code: 'export const RuntimeContentPart = () => null;\nexport default () => null;\n', map: null };
      }
      if (id.endsWith(texts)) {
        done.add('texts');
        const all = JSON.parse(code.replace(/^export default /, '').replace(/;?\s*$/, '')) as Record<
          string,
          Record<string, Record<string, unknown>>
        >;
        for (const languages of Object.values(all)) {
          for (const components of Object.values(languages))
            for (const name of Object.keys(components)) if (unused.test(name)) delete components[name];
        }
        return { code: `export default ${JSON.stringify(all)}`, map: null };
      }
      return null;
    },
    buildEnd(error) {
      // A new version of Cloudscape may have moved them; better to hear of it than to ship the weight again.
      if (building && !error && done.size !== 3) this.error(`leanModules found only ${[...done].join(', ') || 'nothing'}`);
    },
  };
}
