import CollectionPreferences from '@cloudscape-design/components/collection-preferences';
import { useEffect, useRef } from 'react';
import { t } from '../i18n';
import { columnIds } from './columns';
import type { Choice } from './images-page';

export default function Preferences({ value, onChange }: { value: Choice; onChange: (next: Choice) => void }) {
  // Columns that came with a later version follow those of the saved choice.
  const known = value.contentDisplay.map((c) => c.id);
  const contentDisplay = [...value.contentDisplay, ...columnIds.filter((id) => !known.includes(id)).map((id) => ({ id, visible: false }))];
  const frame = useRef<HTMLDivElement>(null);
  // The person pressed a button to get here; press the one that took its place.
  useEffect(() => frame.current?.querySelector('button')?.click(), []);
  return (
    <div ref={frame}>
      <CollectionPreferences
        title={t.preferences.title}
        confirmLabel={t.confirm}
        cancelLabel={t.cancel}
        preferences={{ ...value, contentDisplay }}
        onConfirm={({ detail }) => onChange({ ...value, ...(detail as Partial<Choice>) })}
        pageSizePreference={{
          title: t.preferences.pageSize,
          options: [20, 50, 100, 200].map((n) => ({ value: n, label: t.preferences.images(n) })),
        }}
        wrapLinesPreference={{ label: t.preferences.wrap, description: t.preferences.wrapHint }}
        stripedRowsPreference={{ label: t.preferences.striped, description: t.preferences.stripedHint }}
        contentDisplayPreference={{
          title: t.preferences.columns,
          description: t.preferences.columnsHint,
          options: columnIds.map((id) => ({ id, label: t.columns[id], alwaysVisible: id === 'name' })),
        }}
      />
    </div>
  );
}
