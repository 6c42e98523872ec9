import { useQuery } from '@tanstack/react-query';
import { api, take } from '../api/client';
import { t } from '../i18n';

/** A property that the catalogue knows, for images. */
export interface Definition {
  name: string;
  group: string;
  title?: string;
  description?: string;
  type: string;
  values?: string[];
  minimum?: number;
  maximum?: number;
}

/** What is always offered: the names that clouds agree on. */
const common: Definition[] = [
  {
    name: 'os_distro',
    group: t.metadefs.common,
    title: t.metadefs.distro,
    type: 'string',
    values: ['debian', 'ubuntu', 'fedora', 'centos', 'rocky', 'almalinux', 'rhel', 'sles', 'opensuse', 'arch', 'freebsd', 'windows'],
  },
  { name: 'os_version', group: t.metadefs.common, title: t.metadefs.version, type: 'string' },
  { name: 'os_type', group: t.metadefs.common, title: t.metadefs.type, type: 'string', values: ['linux', 'windows'] },
  {
    name: 'architecture',
    group: t.metadefs.common,
    title: t.metadefs.architecture,
    type: 'string',
    values: ['x86_64', 'aarch64', 'i686', 'ppc64le', 'riscv64', 's390x'],
  },
  { name: 'hw_firmware_type', group: t.metadefs.common, title: t.metadefs.firmware, type: 'string', values: ['bios', 'uefi'] },
  { name: 'hw_machine_type', group: t.metadefs.common, title: t.metadefs.machine, type: 'string', values: ['q35', 'pc', 'virt'] },
  { name: 'hw_disk_bus', group: t.metadefs.common, title: t.metadefs.disk, type: 'string', values: ['virtio', 'scsi', 'sata', 'ide'] },
  { name: 'hw_qemu_guest_agent', group: t.metadefs.common, title: t.metadefs.agent, type: 'boolean', values: ['yes', 'no'] },
];

interface Namespace {
  namespace: string;
  display_name?: string;
  resource_type_associations?: { name: string; prefix?: string | null }[];
  properties?: Record<string, PropertyDefinition>;
  objects?: { properties?: Record<string, PropertyDefinition> }[];
}

interface PropertyDefinition {
  title?: string;
  description?: string;
  type?: string;
  enum?: unknown[];
  items?: { enum?: unknown[] };
  minimum?: number;
  maximum?: number;
}

/** The catalogue of the service, after the common names. */
export function useDefinitions(): readonly Definition[] {
  const { data } = useQuery({ queryKey: ['metadefs'], staleTime: Number.POSITIVE_INFINITY, queryFn: ({ signal }) => load(signal) });
  return data ?? common;
}

const images = 'OS::Glance::Image';

async function load(signal: AbortSignal): Promise<Definition[]> {
  const query = { resource_types: images, limit: 1000 };
  const list = (await take(api.GET('/v2/metadefs/namespaces', { params: { query }, signal }))) as { namespaces: Namespace[] };
  const whole = await Promise.all(
    list.namespaces.map(({ namespace }) =>
      take(api.GET('/v2/metadefs/namespaces/{namespace}', { params: { path: { namespace }, query: { resource_type: images } }, signal })),
    ),
  );
  const known = new Set(common.map((d) => d.name));
  const more: Definition[] = [];
  for (const n of whole as unknown as Namespace[]) {
    const sets = [n.properties ?? {}, ...(n.objects ?? []).map((o) => o.properties ?? {})];
    for (const [name, p] of sets.flatMap((s) => Object.entries(s))) {
      if (known.has(name)) continue;
      known.add(name);
      const values = p.enum ?? p.items?.enum;
      more.push({
        name,
        group: n.display_name ?? n.namespace,
        title: p.title,
        description: p.description,
        type: p.type ?? 'string',
        values: values?.map(String),
        minimum: p.minimum,
        maximum: p.maximum,
      });
    }
  }
  return [...common, ...more];
}
