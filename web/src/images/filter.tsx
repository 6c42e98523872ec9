import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import PropertyFilter, { type PropertyFilterProps } from '@cloudscape-design/components/property-filter';
import { useMemo } from 'react';
import type { Image } from '../api/client';
import { t } from '../i18n';
import { properties } from './facts';
import type { choices, Token } from './filters';

/** Filters by property, and by what the name contains. */
export default function Filter({
  images,
  tokens,
  count,
  onChange,
}: {
  images: Image[];
  tokens: Token[];
  count: string;
  onChange: (tokens: readonly Token[]) => void;
}) {
  // Custom properties can be filtered by when an image on the page has them, or the filter has them already.
  const custom = useMemo(() => {
    const values = new Map<string, Set<string>>();
    for (const image of images) {
      for (const [name, value] of properties(image)) {
        const of = values.get(name) ?? new Set();
        if (value.length <= 80) of.add(value);
        values.set(name, of);
      }
    }
    for (const { propertyKey } of tokens)
      if (propertyKey?.startsWith('prop.') && !values.has(propertyKey.slice(5))) values.set(propertyKey.slice(5), new Set());
    for (const name of ['os_distro', 'os_version', 'architecture']) if (!values.has(name)) values.set(name, new Set());
    return values;
  }, [images, tokens]);

  const filteringProperties = useMemo(() => [...fixed, ...[...custom.keys()].sort().map(customProperty)], [custom]);
  const filteringOptions = useMemo(() => {
    const options: PropertyFilterProps.FilteringOption[] = [];
    for (const [value, label] of Object.entries(t.status)) if (value !== 'deleted') options.push({ propertyKey: 'status', value, label });
    for (const [value, label] of Object.entries(t.visibility)) options.push({ propertyKey: 'visibility', value, label });
    for (const [value, label] of Object.entries(t.formats)) options.push({ propertyKey: 'disk_format', value, label });
    for (const value of ['bare', 'ovf', 'ova', 'docker', 'compressed', 'ami', 'ari', 'aki'])
      options.push({ propertyKey: 'container_format', value });
    for (const key of ['protected', 'os_hidden'])
      options.push({ propertyKey: key, value: 'true', label: t.yes }, { propertyKey: key, value: 'false', label: t.no });
    for (const tag of new Set(images.flatMap((image) => image.tags))) options.push({ propertyKey: 'tag', value: tag });
    for (const [name, values] of custom) for (const value of values) options.push({ propertyKey: `prop.${name}`, value });
    return options;
  }, [images, custom]);

  return (
    <PropertyFilter
      query={{ operation: 'and', tokens }}
      onChange={({ detail }) => onChange(detail.tokens)}
      filteringProperties={filteringProperties}
      filteringOptions={filteringOptions}
      freeTextFiltering={{ operators: [':'], defaultOperator: ':' }}
      hideOperations
      expandToViewport
      tokenLimit={4}
      countText={count}
      filteringPlaceholder={t.filter.placeholder}
      filteringAriaLabel={t.filter.placeholder}
      customGroupsText={[{ group: 'custom', properties: t.filter.custom, values: t.filter.customValues }]}
    />
  );
}

const choice = (key: (typeof choices)[number]): PropertyFilterProps.FilteringProperty => ({
  key,
  propertyLabel: t.columns[key],
  groupValuesLabel: t.filter.values(t.columns[key]),
  operators: [{ operator: '=', tokenType: 'enum' }],
});

const text = (key: string, label: string): PropertyFilterProps.FilteringProperty => ({
  key,
  propertyLabel: label,
  groupValuesLabel: t.filter.values(label),
  operators: ['='],
});

const range = (key: string, label: string): PropertyFilterProps.FilteringProperty => ({
  key,
  propertyLabel: label,
  groupValuesLabel: t.filter.values(label),
  operators: ['>=', '<='],
  defaultOperator: '>=',
});

const moment = (key: 'created_at' | 'updated_at'): PropertyFilterProps.FilteringProperty => ({
  key,
  propertyLabel: t.columns[key],
  groupValuesLabel: t.filter.values(t.columns[key]),
  defaultOperator: '>=',
  operators: (['>=', '<'] as const).map((operator) => ({
    operator,
    form: ({ value, onChange }) => (
      <FormField label={t.filter.day}>
        <Input value={typeof value === 'string' ? value : ''} onChange={({ detail }) => onChange(detail.value)} placeholder="2026-01-31" />
      </FormField>
    ),
  })),
});

const fixed: PropertyFilterProps.FilteringProperty[] = [
  { ...text('name', t.columns.name), operators: [':', '='], defaultOperator: ':' },
  choice('status'),
  choice('visibility'),
  choice('disk_format'),
  choice('container_format'),
  text('tag', t.columns.tags),
  text('protected', t.columns.protected),
  text('os_hidden', t.filter.hidden),
  text('owner', t.columns.owner),
  range('size', t.filter.size),
  range('min_disk', t.filter.minDisk),
  range('min_ram', t.filter.minRam),
  moment('created_at'),
  moment('updated_at'),
  text('checksum', t.image.md5),
  text('os_hash_value', t.image.sha512),
];

const customProperty = (name: string): PropertyFilterProps.FilteringProperty => ({
  key: `prop.${name}`,
  propertyLabel: name,
  groupValuesLabel: t.filter.values(name),
  operators: ['='],
  group: 'custom',
});
