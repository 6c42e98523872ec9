import { expect, test } from 'vitest';
import { limitIn, textOf } from './limits';

test.each<[string, 'images' | 'bytes', string, number | undefined]>([
  ['nothing is no limit', 'images', ' ', -1],
  ['none at all', 'images', '0', 0],
  ['a count', 'images', ' 12 ', 12],
  ['half an image is none', 'images', '1.5', undefined],
  ['a size is in GiB', 'bytes', '1.5', 1.5 * 2 ** 30],
  ['less than nothing', 'bytes', '-1', undefined],
  ['words', 'bytes', '10 GiB', undefined],
  ['a power', 'bytes', '1e3', undefined],
  ['more than a number holds', 'bytes', '99999999999', undefined],
])('%s: %s %j', (_, figure, text, want) => expect(limitIn(figure, text)).toBe(want));

test('a limit that is shown is read again as it was, to the thousandth of a GiB', () => {
  for (const [figure, n] of [
    ['images', 7],
    ['bytes', 2 ** 40],
    ['bytes', -1],
    ['bytes', 2 ** 29],
    ['bytes', 0],
  ] as const)
    expect(limitIn(figure, textOf(figure, n))).toBe(n);
  expect(textOf('bytes', 1e12)).toBe('931.323');
});
