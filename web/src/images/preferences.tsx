import CollectionPreferences from '@cloudscape-design/components/collection-preferences';
import { t } from '../i18n';
import { columnIds } from './columns';
import type { Choice } from './images-page';

export default function Preferences({ value, onChange }: { value: Choice; onChange: (next: Choice) => void }) {
  // Columns that came with a later version follow those of the saved choice.
  const known = value.contentDisplay.map((c) => c.id);
  const contentDisplay = [...value.contentDisplay, ...columnIds.filter((id) => !known.includes(id)).map((id) => ({ id, visible: false }))];
  return (
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
  );
}
