import AttributeEditor from '@cloudscape-design/components/attribute-editor';
import Autosuggest from '@cloudscape-design/components/autosuggest';
import Input from '@cloudscape-design/components/input';
import type { Schemas } from '../api/client';
import { t } from '../i18n';
import { reserved } from '../images/facts';
import { pointer } from '../images/queries';
import { type Definition, useDefinitions } from './metadefs';

export interface Pair {
  name: string;
  value: string;
}

export function pairsOf(properties: Record<string, string>): Pair[] {
  return Object.entries(properties).map(([name, value]) => ({ name, value }));
}

/** What is wrong with a property, or undefined. */
function problem(pairs: readonly Pair[], n: number, definition?: Definition): { name?: string; value?: string } {
  const { name, value } = pairs[n] ?? { name: '', value: '' };
  const key = name.trim();
  if (!key) return value ? { name: t.properties.nameMissing } : {};
  if (key.length > 255) return { name: t.properties.nameLong };
  if (reserved(key)) return { name: t.properties.reserved(key) };
  if (pairs.findIndex((p) => p.name.trim() === key) < n) return { name: t.properties.twice(key) };
  const wrong = definition && value ? violates(definition, value) : undefined;
  return wrong ? { value: wrong } : {};
}

export function problems(pairs: readonly Pair[]): string[] {
  return pairs.flatMap((_, n) => {
    const p = problem(pairs, n);
    return [p.name, p.value].filter((x): x is string => x !== undefined);
  });
}

/** Checks a value against its definition in the catalogue. */
export function violates(d: Definition, value: string): string | undefined {
  const number = Number(value);
  switch (d.type) {
    case 'integer':
    case 'number':
      if (!Number.isFinite(number) || (d.type === 'integer' && !Number.isInteger(number))) return t.properties.number;
      if (d.minimum !== undefined && number < d.minimum) return t.properties.least(d.minimum);
      if (d.maximum !== undefined && number > d.maximum) return t.properties.most(d.maximum);
      return undefined;
    case 'boolean':
      return ['true', 'false'].includes(value.toLowerCase()) ? undefined : t.properties.boolean;
    default:
      return undefined;
  }
}

/** The patch that turns the properties into what the editor shows. */
export function propertyOps(before: Record<string, string>, after: readonly Pair[]): Schemas['Patch'] {
  const wanted = new Map(after.filter((p) => p.name.trim()).map((p) => [p.name.trim(), p.value]));
  const ops: Schemas['Patch'] = [];
  for (const name of Object.keys(before)) if (!wanted.has(name)) ops.push({ op: 'remove', path: pointer(name) });
  for (const [name, value] of wanted) if (before[name] !== value) ops.push({ op: 'add', path: pointer(name), value });
  return ops;
}

/** Edits properties, with the names and values that the catalogue of definitions knows. */
export function Metadata({ pairs, onChange }: { pairs: readonly Pair[]; onChange: (pairs: Pair[]) => void }) {
  const definitions = useDefinitions();
  const of = (name: string) => definitions.find((d) => d.name === name.trim());
  const change = (n: number, part: Partial<Pair>) => onChange(pairs.map((p, at) => (at === n ? { ...p, ...part } : p)));
  return (
    <AttributeEditor<Pair>
      items={pairs}
      addButtonText={t.properties.add}
      removeButtonText={t.properties.remove}
      removeButtonAriaLabel={(p) => t.properties.removeOf(p.name)}
      empty={t.properties.noneYet}
      onAddButtonClick={() => onChange([...pairs, { name: '', value: '' }])}
      onRemoveButtonClick={({ detail }) => onChange(pairs.filter((_, n) => n !== detail.itemIndex))}
      definition={[
        {
          label: t.properties.name,
          control: (item, n) => (
            <Autosuggest
              value={item.name}
              onChange={({ detail }) => change(n, { name: detail.value })}
              options={suggestions(definitions)}
              enteredTextLabel={t.properties.use}
              placeholder={t.properties.namePlaceholder}
              ariaLabel={t.properties.name}
            />
          ),
          errorText: (item, n) => problem(pairs, n, of(item.name)).name,
          constraintText: (item) => of(item.name)?.title,
        },
        {
          label: t.properties.value,
          control: (item, n) => {
            const d = of(item.name);
            const values = d?.values ?? (d?.type === 'boolean' ? ['true', 'false'] : undefined);
            if (!values)
              return (
                <Input value={item.value} onChange={({ detail }) => change(n, { value: detail.value })} ariaLabel={t.properties.value} />
              );
            return (
              <Autosuggest
                value={item.value}
                onChange={({ detail }) => change(n, { value: detail.value })}
                options={values.map((value) => ({ value }))}
                enteredTextLabel={t.properties.use}
                ariaLabel={t.properties.value}
              />
            );
          },
          errorText: (item, n) => problem(pairs, n, of(item.name)).value,
          constraintText: (item) => of(item.name)?.description,
        },
      ]}
    />
  );
}

function suggestions(definitions: readonly Definition[]) {
  const groups = new Map<string, { value: string; description?: string }[]>();
  for (const d of definitions) {
    const group = groups.get(d.group) ?? [];
    group.push({ value: d.name, description: d.title });
    groups.set(d.group, group);
  }
  return [...groups].map(([label, options]) => ({ label, options }));
}
