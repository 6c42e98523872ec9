import Badge from '@cloudscape-design/components/badge';
import Icon from '@cloudscape-design/components/icon';
import Link from '@cloudscape-design/components/link';
import type { TableProps } from '@cloudscape-design/components/table';
import type { ReactNode } from 'react';
import type { Image } from '../api/client';
import { t } from '../i18n';
import { follow } from '../ui/follow';
import { ago, size, time } from '../ui/format';
import { href } from '../ui/router';
import { property, system } from './facts';
import { sortKeys } from './filters';
import { StatusCell } from './status';

export type Column = TableProps.ColumnDefinition<Image> & { id: keyof typeof t.columns };

/** A link that stays in the page. */
export function ImageLink({ image }: { image: Image }) {
  const to = href(['images', image.id]);
  return <Link {...follow(to)}>{image.name || t.images.unnamed(image.id.slice(0, 8))}</Link>;
}

function Moment({ iso }: { iso: string }) {
  return (
    <time dateTime={iso} title={time(iso)}>
      {ago(iso)}
    </time>
  );
}

export function Tags({ tags }: { tags: string[] }) {
  if (tags.length === 0) return <>–</>;
  return (
    <span className="tags">
      {tags.map((tag) => (
        <Badge key={tag}>{tag}</Badge>
      ))}
    </span>
  );
}

const cells: Record<keyof typeof t.columns, { width?: number; cell: (image: Image) => ReactNode }> = {
  name: {
    width: 200,
    cell: (image) => (
      <>
        <ImageLink image={image} />
        {image.protected && (
          <>
            {' '}
            <Icon name="lock-private" size="small" variant="subtle" ariaLabel={t.images.protected} />
          </>
        )}
      </>
    ),
  },
  status: { width: 184, cell: (image) => <StatusCell image={image} /> },
  visibility: { width: 122, cell: (image) => t.visibility[image.visibility] },
  owner: { width: 100, cell: (image) => image.owner },
  disk_format: { width: 112, cell: (image) => formatName(image.disk_format) },
  size: { width: 102, cell: (image) => size(image.size) },
  os: { width: 148, cell: (image) => system(image) || '–' },
  architecture: { width: 120, cell: (image) => property(image, 'architecture') || property(image, 'hw_architecture') || '–' },
  created_at: { width: 112, cell: (image) => <Moment iso={image.created_at} /> },
  updated_at: { width: 118, cell: (image) => <Moment iso={image.updated_at} /> },
  tags: { width: 116, cell: (image) => <Tags tags={image.tags} /> },
  container_format: { width: 120, cell: (image) => image.container_format ?? '–' },
  min_disk: { width: 110, cell: (image) => (image.min_disk ? t.format.gib(image.min_disk) : '–') },
  min_ram: { width: 110, cell: (image) => (image.min_ram ? t.format.mib(image.min_ram) : '–') },
  protected: { width: 110, cell: (image) => (image.protected ? t.yes : t.no) },
  id: { width: 320, cell: (image) => <span className="mono">{image.id}</span> },
};

export const columnIds = Object.keys(cells) as (keyof typeof t.columns)[];

/** Columns that are shown until the person chooses. */
export const firstColumns: readonly string[] = [
  'name',
  'status',
  'visibility',
  'owner',
  'disk_format',
  'size',
  'os',
  'created_at',
  'updated_at',
  'tags',
];

export function columns(owner: (id: string) => string): Column[] {
  return columnIds.map((id) => ({
    id,
    header: t.columns[id],
    width: cells[id].width,
    minWidth: 80,
    isRowHeader: id === 'name',
    cell: id === 'owner' ? (image) => owner(image.owner) : cells[id].cell,
    ...(sortKeys.includes(id) ? { sortingField: id } : {}),
  }));
}

export function formatName(format: string | null): string {
  return format ? (t.formats[format as keyof typeof t.formats] ?? format) : '–';
}
