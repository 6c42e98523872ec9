import { expect, test } from 'vitest';
import { bytesPerSecond, noRate, sample, secondsLeft } from './rate';

test('the rate says nothing until a second has passed', () => {
  const r = sample(sample(noRate, 0, 0), 900, 1000);
  expect(bytesPerSecond(r)).toBeUndefined();
  expect(secondsLeft(r, 1000, 2000)).toBeUndefined();
});

test('the rate is that of the last ten seconds', () => {
  let r = noRate;
  for (let s = 0; s <= 30; s++) r = sample(r, s * 1000, s < 20 ? s * 10 : 200 + (s - 20) * 1000);
  expect(bytesPerSecond(r)).toBeCloseTo(1000);
  expect(secondsLeft(r, 10_200, 20_200)).toBeCloseTo(10);
});

test('a part that is lost begins the measurement again', () => {
  const r = sample(sample(sample(noRate, 0, 0), 5000, 5000), 6000, 1000);
  expect(r.samples).toEqual([{ at: 6000, bytes: 1000 }]);
});
