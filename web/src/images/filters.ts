import type { PropertyFilterProps } from '@cloudscape-design/components/property-filter';

/**
 * The filters of the list and how they are written, in the address and in the request alike: with the names of the API's own parameters.
 * Custom properties are prop.NAME in the address, where their names could mean something else.
 */
export const tabs = ['mine', 'public', 'shared', 'all'] as const;
export type Tab = (typeof tabs)[number];

export type MemberStatus = 'pending' | 'accepted' | 'rejected';

export interface Listing {
  tab: Tab;
  /** In the tab of what others share with the project: what the project said to it. */
  member: MemberStatus;
  tokens: Token[];
  sort: { key: string; descending: boolean };
  /** The marker of the page and its number, counted from 1. */
  page: number;
  after: string;
}

export type Token = PropertyFilterProps.Token;

/** Filters that take one of several values, written in:a,b when there are more. */
export const choices = ['status', 'disk_format', 'container_format', 'visibility'] as const;
const flags = ['protected', 'os_hidden'];
const numbers = ['size', 'min_disk', 'min_ram'];
const times = ['created_at', 'updated_at'];
const texts = ['name', 'tag', 'owner', 'id', 'checksum', 'os_hash_value'];
const day = /^\d{4}-\d\d-\d\d$/;
const operators: Record<string, string> = { '>=': 'gte', '<=': 'lte', '<': 'lt', '>': 'gt' };

export const sortKeys = ['name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at'];
export const defaultSort = { key: 'created_at', descending: true };

/** Reads the address. What it does not understand it leaves out. */
export function readListing(params: URLSearchParams): Listing {
  const tab = tabs.find((x) => x === params.get('tab')) ?? 'mine';
  const member = (['pending', 'accepted', 'rejected'] as const).find((x) => x === params.get('member_status')) ?? 'pending';
  const [key = '', dir] = (params.get('sort') ?? '').split(':');
  const sort = sortKeys.includes(key) ? { key, descending: dir === 'desc' } : defaultSort;
  const page = Math.max(1, Math.floor(Number(params.get('page') ?? 1)) || 1);
  return { tab, member, tokens: readTokens(params), sort, page, after: params.get('after') ?? '' };
}

export function writeListing(l: Listing): URLSearchParams {
  const params = new URLSearchParams();
  if (l.tab !== 'mine') params.set('tab', l.tab);
  if (l.tab === 'shared' && l.member !== 'pending') params.set('member_status', l.member);
  for (const [k, v] of writeTokens(l.tokens)) params.append(k, v);
  if (l.sort.key !== defaultSort.key || l.sort.descending !== defaultSort.descending)
    params.set('sort', `${l.sort.key}:${l.sort.descending ? 'desc' : 'asc'}`);
  if (l.after) {
    params.set('page', String(l.page));
    params.set('after', l.after);
  }
  return params;
}

/** The same list from its beginning, with some of it changed. */
export function relist(l: Listing, change: Partial<Listing>): Listing {
  return { ...l, page: 1, after: '', ...change };
}

export function readTokens(params: URLSearchParams): Token[] {
  const tokens: Token[] = [];
  for (const [name, value] of params) {
    if (name === 'name_contains') tokens.push({ operator: ':', value });
    else if ((choices as readonly string[]).includes(name))
      tokens.push({ propertyKey: name, operator: '=', value: value.startsWith('in:') ? value.slice(3).split(',') : [value] });
    else if (flags.includes(name) && (value === 'true' || value === 'false')) tokens.push({ propertyKey: name, operator: '=', value });
    else if (texts.includes(name)) tokens.push({ propertyKey: name, operator: '=', value });
    else if (times.includes(name)) {
      const [op, at] = split(value);
      const operator = Object.keys(operators).find((o) => operators[o] === op);
      if (operator && at) tokens.push({ propertyKey: name, operator: operator as Token['operator'], value: at.slice(0, 10) });
    } else if (name.startsWith('prop.') && name.length > 5) tokens.push({ propertyKey: name, operator: '=', value });
    else {
      const m = /^(.+)_(min|max)$/.exec(name);
      if (m?.[1] && numbers.includes(m[1]))
        tokens.push({ propertyKey: m[1], operator: m[2] === 'min' ? '>=' : '<=', value: fromUnit(m[1], value) });
    }
  }
  return tokens;
}

export function writeTokens(tokens: readonly Token[]): [string, string][] {
  const out: [string, string][] = [];
  for (const { propertyKey: key, operator, value } of tokens) {
    if (!key || (key === 'name' && operator === ':')) {
      out.push(['name_contains', String(value)]);
    } else if (Array.isArray(value)) {
      if (value.length > 0) out.push([key, value.length === 1 ? String(value[0]) : `in:${value.join(',')}`]);
    } else if (numbers.includes(key)) {
      out.push([`${key}_${operator === '>=' ? 'min' : 'max'}`, toUnit(key, String(value))]);
    } else if (times.includes(key)) {
      out.push([key, `${operators[operator] ?? 'gte'}:${value}T00:00:00Z`]);
    } else {
      out.push([key, String(value)]);
    }
  }
  return out;
}

/** The request's parameters for a list. */
export function request(l: Listing, project: string, limit: number): URLSearchParams {
  const params = new URLSearchParams({ limit: String(limit), sort: `${l.sort.key}:${l.sort.descending ? 'desc' : 'asc'}` });
  for (const [k, v] of writeTokens(l.tokens)) params.append(k.startsWith('prop.') ? k.slice(5) : k, v);
  if (l.tab === 'mine') params.set('owner', project);
  if (l.tab === 'public') params.set('visibility', 'public');
  if (l.tab === 'shared') {
    params.set('visibility', 'shared');
    params.set('member_status', l.member);
  }
  if (l.after) params.set('marker', l.after);
  return params;
}

/** Tokens that make sense together: of the free text and of every single-valued filter the last one counts. */
export function tidy(tokens: readonly Token[]): Token[] {
  const last = new Map<string, Token>();
  tokens.forEach((token, n) => {
    const key = token.propertyKey ?? 'name:';
    // A list filter joins its values; tags and times may repeat.
    const id =
      key === 'tag'
        ? `${key}${n}`
        : numbers.includes(key) || times.includes(key)
          ? key + token.operator
          : key === 'name' && token.operator === ':'
            ? 'name:'
            : key;
    const had = last.get(id);
    if (had && Array.isArray(had.value) && Array.isArray(token.value))
      last.set(id, { ...token, value: [...new Set([...had.value, ...token.value])] });
    else
      last.set(
        id,
        (choices as readonly string[]).includes(key) && !Array.isArray(token.value) ? { ...token, value: [token.value] } : token,
      );
  });
  return [...last.values()]
    .filter((x) => !times.includes(x.propertyKey ?? '') || day.test(String(x.value)))
    .filter((x) => (Array.isArray(x.value) ? x.value.length > 0 : String(x.value ?? '').trim() !== ''));
}

/** Sizes are typed in GiB, or with a unit: 500 MiB. */
function toUnit(key: string, text: string): string {
  if (key !== 'size') return String(Math.max(0, Math.floor(Number(text)) || 0));
  const m = /^\s*([\d.]+)\s*([kmgt]?)/i.exec(text);
  const power = { k: 1, m: 2, g: 3, t: 4 }[(m?.[2] || 'g').toLowerCase()] ?? 3;
  return String(Math.floor((Number(m?.[1]) || 0) * 1024 ** power));
}

function fromUnit(key: string, bytes: string): string {
  if (key !== 'size') return bytes;
  let n = Number(bytes) || 0;
  for (const unit of ['bytes', 'KiB', 'MiB', 'GiB']) {
    if (n < 1024 || n % 1 !== 0) return unit === 'bytes' ? `${n / 1024} KiB` : `${n} ${unit}`;
    n /= 1024;
  }
  return `${n} TiB`;
}

function split(text: string): [string, string] {
  const at = text.indexOf(':');
  return [text.slice(0, at), text.slice(at + 1)];
}
