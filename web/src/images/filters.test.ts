import { describe, expect, test } from 'vitest';
import { type Listing, readListing, relist, request, tidy, writeListing } from './filters';

describe('the address of a list', () => {
  test.each([
    '',
    'tab=public',
    'tab=shared&member_status=accepted',
    'name_contains=deb',
    'status=in%3Aactive%2Cqueued&disk_format=qcow2&sort=name%3Aasc',
    'tag=a&tag=b&protected=true&os_hidden=true',
    'size_min=1073741824&min_ram_max=512',
    'created_at=gte%3A2026-01-31T00%3A00%3A00Z',
    'prop.os_distro=debian&prop.tab=x',
    'page=3&after=0b1c',
  ])('%s is read and written the same', (address) => {
    expect(writeListing(readListing(new URLSearchParams(address))).toString()).toBe(address);
  });

  test('what it does not understand is left out', () => {
    expect(
      writeListing(readListing(new URLSearchParams('tab=x&sort=nope&page=-3&protected=maybe&created_at=yesterday&what=1'))).toString(),
    ).toBe('');
  });
});

describe('the request for a list', () => {
  const listing = (address: string): Listing => readListing(new URLSearchParams(address));
  test('mine asks for the project', () => {
    expect(request(listing(''), 'p1', 50).toString()).toBe('limit=50&sort=created_at%3Adesc&owner=p1');
  });
  test('shared asks for what waits for an answer', () => {
    expect(request(listing('tab=shared'), 'p1', 50).toString()).toBe(
      'limit=50&sort=created_at%3Adesc&visibility=shared&member_status=pending',
    );
  });
  test('custom properties go under their own names', () => {
    expect(request(listing('tab=all&prop.os_distro=debian'), 'p1', 50).get('os_distro')).toBe('debian');
  });
  test('a change begins at the first page', () => {
    expect(relist(listing('page=3&after=x'), { tab: 'all' })).toMatchObject({ page: 1, after: '', tab: 'all' });
  });
});

describe('tokens', () => {
  test('the last free text counts, and values of one list join', () => {
    const got = tidy([
      { operator: ':', value: 'a' },
      { operator: ':', value: 'b' },
      { propertyKey: 'status', operator: '=', value: ['active'] },
      { propertyKey: 'status', operator: '=', value: ['queued'] },
      { propertyKey: 'tag', operator: '=', value: 'x' },
      { propertyKey: 'tag', operator: '=', value: 'y' },
      { propertyKey: 'name', operator: '=', value: ' ' },
    ]);
    expect(got.map((x) => x.value)).toEqual(['b', ['active', 'queued'], 'x', 'y']);
  });

  test('sizes are typed in GiB or with a unit', () => {
    const bytes = (value: string) => {
      const l = relist(readListing(new URLSearchParams()), { tokens: [{ propertyKey: 'size', operator: '>=', value }] });
      return writeListing(l).get('size_min');
    };
    expect([bytes('2'), bytes('500 MiB'), bytes('1.5g'), bytes('x')]).toEqual(['2147483648', '524288000', '1610612736', '0']);
  });
});
