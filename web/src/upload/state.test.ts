import { describe, expect, test } from 'vitest';
import { type Command, type Event, initial, PARALLEL, PATIENCE, type Plan, reduce, type Signed, type State, transferred } from './state';

const MiB = 1 << 20;
const NOW = 1_700_000_000_000;
const plan = (parts: number, last = 16 * MiB): Plan => ({
  upload: 'u1',
  mode: 'multipart',
  size: (parts - 1) * 16 * MiB + last,
  partSize: 16 * MiB,
  parts,
});
const sign = (number: number, life = 900_000): Signed => ({
  number,
  method: 'PUT',
  url: `https://s3/${number}`,
  headers: {},
  expiresAt: NOW + life,
});
const signAll = (n: number, life?: number) => Array.from({ length: n }, (_, i) => sign(i + 1, life));

/** Feeds events one after the other and returns the last state with all commands. */
function run(from: State, ...events: Event[]): { state: State; commands: Command[] } {
  const commands: Command[] = [];
  let state = from;
  for (const e of events) {
    const [next, more] = reduce(state, e, NOW);
    state = next;
    commands.push(...more);
  }
  return { state, commands };
}

const of = <K extends Command['do']>(commands: Command[], kind: K) =>
  commands.filter((c): c is Extract<Command, { do: K }> => c.do === kind);

function opened(p: Plan, signed = signAll(Math.min(p.parts, 16))): State {
  return run(initial(p.size), { is: 'start' }, { is: 'opened', plan: p, signed }).state;
}

describe('an upload', () => {
  test('opens, sends four parts at once, and completes when all have arrived', () => {
    const p = plan(6);
    const first = run(initial(p.size), { is: 'start' }, { is: 'opened', plan: p, signed: signAll(6) });
    expect(first.commands[0]).toEqual({ do: 'open' });
    expect(of(first.commands, 'send').map((c) => c.part)).toEqual([1, 2, 3, 4]);
    expect(first.state.sending.size).toBe(PARALLEL);

    const rest = run(first.state, ...[2, 1, 3, 4, 6, 5].map((part): Event => ({ is: 'sent', part })));
    expect(of(rest.commands, 'send').map((c) => c.part)).toEqual([5, 6]);
    expect(rest.commands.at(-1)).toEqual({ do: 'complete' });
    expect(rest.state.phase).toBe('completing');

    const end = run(rest.state, { is: 'completed' }, { is: 'validation', bytes: 5 }, { is: 'accepted' });
    expect(end.commands).toEqual([{ do: 'watch' }]);
    expect(end.state.phase).toBe('active');
  });

  test('sends each byte once: the ranges of the parts join and end with the file', () => {
    for (const last of [1, 5 * MiB, 16 * MiB]) {
      const p = plan(5, last);
      const sent: { from: number; to: number }[] = [];
      let state = opened(p);
      // Take the first lot from the state itself.
      for (const part of [...state.sending.keys()]) sent.push({ from: (part - 1) * p.partSize, to: Math.min(part * p.partSize, p.size) });
      for (let part = 1; part <= p.parts; part++) {
        const r = run(state, { is: 'sent', part });
        state = r.state;
        sent.push(...of(r.commands, 'send'));
      }
      sent.sort((a, b) => a.from - b.from);
      expect(sent[0]?.from).toBe(0);
      for (let i = 1; i < sent.length; i++) expect(sent[i]?.from).toBe(sent[i - 1]?.to);
      expect(sent.at(-1)?.to).toBe(p.size);
    }
  });

  test('asks for more signatures before the last of those at hand are used', () => {
    const p = plan(200);
    let state = opened(p);
    const asked = new Set<number>();
    for (let part = 1; part <= 10; part++) {
      const r = run(state, { is: 'sent', part });
      state = r.state;
      for (const n of of(r.commands, 'sign').flatMap((c) => c.parts)) {
        expect(asked.has(n), `part ${n} is asked for once`).toBe(false);
        asked.add(n);
      }
    }
    expect(Math.min(...asked)).toBe(17);
    expect(state.sending.size).toBe(PARALLEL);
  });

  test('signs again what is about to expire, and does not send with it', () => {
    const p = plan(3);
    const r = run(initial(p.size), { is: 'start' }, { is: 'opened', plan: p, signed: signAll(3, 5_000) });
    expect(of(r.commands, 'send')).toEqual([]);
    expect(of(r.commands, 'sign')).toEqual([{ do: 'sign', parts: [1, 2, 3] }]);
    expect(of(run(r.state, { is: 'signed', signed: signAll(3) }).commands, 'send')).toHaveLength(3);
  });

  test('signs a part again when S3 says 403, at once and then with growing pauses', () => {
    const first = run(opened(plan(8)), { is: 'lost', part: 2, failure: 'expired', message: '' });
    expect(of(first.commands, 'sign').flatMap((c) => c.parts)).toContain(2);
    const again = run(first.state, { is: 'signed', signed: [sign(2)] });
    // Another part took the free place meanwhile or part 2 did; either way four are on the way.
    expect(again.state.sending.size).toBe(PARALLEL);
  });

  test('tries a lost part again after a pause that grows, and gives up after six', () => {
    let state = opened(plan(4));
    const pauses: number[] = [];
    for (let i = 1; i < PATIENCE; i++) {
      const r = run(state, { is: 'lost', part: 1, failure: 'network', message: 'gone' });
      pauses.push(of(r.commands, 'wait')[0]?.milliseconds ?? 0);
      expect(of(r.commands, 'send')).toEqual([]);
      const back = run(r.state, { is: 'due', part: 1 }, { is: 'signed', signed: [sign(1)] });
      expect(of(back.commands, 'sign'), 'what fails twice is signed again').toHaveLength(i > 1 ? 1 : 0);
      expect(of(back.commands, 'send').map((c) => c.part)).toEqual([1]);
      state = back.state;
    }
    expect(pauses).toEqual([1150, 2150, 4150, 8150, 16150]);
    const last = run(state, { is: 'lost', part: 1, failure: 'network', message: 'gone' });
    expect(last.state.phase).toBe('failed');
    expect(last.state.problem).toBe('gone');
    expect(last.commands).toEqual([{ do: 'stop' }]);
  });

  test('stops at once when S3 refuses a part for a reason that will not pass', () => {
    const r = run(opened(plan(4)), { is: 'lost', part: 3, failure: 'refused', message: 'HTTP 400' });
    expect(r.state).toMatchObject({ phase: 'failed', problem: 'HTTP 400' });
  });

  test('takes "exists already" for arrival when the whole file is one request', () => {
    const p: Plan = { upload: 'u', mode: 'put', size: 100, partSize: 100, parts: 1 };
    const r = run(opened(p, [sign(1)]), { is: 'lost', part: 1, failure: 'there', message: '' });
    expect(r.commands).toEqual([{ do: 'complete' }]);
  });

  test('pauses by taking back what is on the way, and looks at S3 before it goes on', () => {
    const paused = run(opened(plan(6)), { is: 'sent', part: 1 }, { is: 'pause' });
    expect(paused.state.phase).toBe('paused');
    expect(paused.state.sending.size).toBe(0);
    expect(paused.commands.at(-1)).toEqual({ do: 'stop' });
    const late = run(paused.state, { is: 'sent', part: 2 }, { is: 'signed', signed: [sign(3)] }, { is: 'due', part: 3 });
    expect(late.commands, 'nothing is sent while it is paused').toEqual([]);
    const on = run(paused.state, { is: 'resume' });
    expect(on.commands).toEqual([{ do: 'look' }]);
    const go = run(on.state, { is: 'looked', state: 'open', have: [1, 2, 5] });
    expect(of(go.commands, 'send').map((c) => c.part)).toEqual([3, 4, 6]);
  });

  test('goes on from another tab with what S3 has', () => {
    const p = plan(5);
    const r = run(initial(p.size), { is: 'adopt', plan: p });
    expect(r.commands).toEqual([{ do: 'look' }]);
    const go = run(r.state, { is: 'looked', state: 'open', have: [1, 2, 3, 4] });
    expect(go.commands).toEqual([{ do: 'sign', parts: [5] }]);
    const whole = run(r.state, { is: 'looked', state: 'open', have: [1, 2, 3, 4, 5] });
    expect(whole.commands).toEqual([{ do: 'complete' }]);
  });

  test('refuses a file of another size than the upload was opened for', () => {
    expect(run(initial(7), { is: 'adopt', plan: plan(2) }).state.phase).toBe('failed');
  });

  test('begins again when the service gave the upload up meanwhile', () => {
    const r = run(opened(plan(6)), { is: 'pause' }, { is: 'resume' }, { is: 'looked', state: 'gone', have: [] });
    expect(r.commands.at(-1)).toEqual({ do: 'open' });
    expect(r.state).toMatchObject({ phase: 'opening', plan: undefined });
    expect(r.state.done.size).toBe(0);
  });

  test('waits while the network is away and then looks at S3', () => {
    const away = run(opened(plan(6)), { is: 'offline' });
    expect(away.commands).toEqual([{ do: 'stop' }]);
    expect(away.state).toMatchObject({ phase: 'sending', offline: true });
    expect(run(away.state, { is: 'due', part: 1 }).commands).toEqual([]);
    expect(run(away.state, { is: 'online' }).commands).toEqual([{ do: 'look' }]);
  });

  test('resumes after it failed, with patience restored', () => {
    const failed = run(opened(plan(6)), { is: 'failed', message: 'quota' });
    expect(failed.state.problem).toBe('quota');
    const on = run(failed.state, { is: 'resume' });
    expect(on.state).toMatchObject({ phase: 'looking', problem: undefined });
    expect(on.state.failures.size).toBe(0);
  });

  test('opens when it failed before it was open', () => {
    const r = run(initial(5), { is: 'start' }, { is: 'failed', message: 'x' }, { is: 'resume' });
    expect(r.commands.at(-1)).toEqual({ do: 'open' });
  });

  test('cancels by freeing what S3 has; a late answer to opening is freed too', () => {
    expect(run(opened(plan(6)), { is: 'cancel' }).commands).toEqual([{ do: 'stop' }, { do: 'abort' }]);
    const early = run(initial(5), { is: 'start' }, { is: 'cancel' });
    expect(early.commands).toEqual([{ do: 'open' }, { do: 'stop' }]);
    expect(run(early.state, { is: 'opened', plan: plan(2), signed: [] }).commands).toEqual([{ do: 'abort' }]);
  });

  test('cannot be cancelled or paused while it is examined, and nothing moves it once it is over', () => {
    const p: Plan = { upload: 'u', mode: 'put', size: 100, partSize: 100, parts: 1 };
    const examined = run(opened(p, [sign(1)]), { is: 'sent', part: 1 }, { is: 'completed' }).state;
    for (const is of ['cancel', 'pause', 'resume'] as const) expect(run(examined, { is }).commands).toEqual([]);
    const rejection = { code: 'truncated', message: 'm', hint: 'h' };
    const rejected = run(examined, { is: 'rejected', rejection }).state;
    expect(rejected).toMatchObject({ phase: 'rejected', rejection });
    for (const is of ['cancel', 'pause', 'resume', 'accepted', 'start'] as const)
      expect(run(rejected, { is }).state.phase).toBe('rejected');
  });

  test('counts bytes that have arrived and bytes on the way', () => {
    const r = run(opened(plan(3, 5)), { is: 'sent', part: 3 }, { is: 'progress', part: 1, bytes: 1000 });
    expect(transferred(r.state)).toBe(1005);
    expect(transferred(run(r.state, { is: 'lost', part: 1, failure: 'network', message: '' }).state)).toBe(5);
  });

  test('reaches the end whatever order parts arrive and fail in', () => {
    // A small deterministic generator: the same runs every time.
    let seed = 42;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % n;
    };
    for (let round = 0; round < 200; round++) {
      const p = plan(1 + random(40), 1 + random(16 * MiB));
      let state = opened(p, signAll(Math.min(p.parts, 16)));
      for (let step = 0; state.phase !== 'completing' && step < 5000; step++) {
        const going = [...state.sending.keys()];
        const part = going[random(going.length || 1)];
        const e: Event =
          part === undefined
            ? state.signing.size > 0
              ? { is: 'signed', signed: [...state.signing].map((n) => sign(n)) }
              : state.waiting.size > 0
                ? { is: 'due', part: [...state.waiting][0] ?? 0 }
                : { is: 'resume' }
            : random(10) === 0
              ? { is: 'lost', part, failure: random(2) ? 'network' : 'expired', message: 'x' }
              : { is: 'sent', part };
        const [next, commands] = reduce(state, e, NOW);
        state = next;
        if (of(commands, 'look').length > 0) [state] = reduce(state, { is: 'looked', state: 'open', have: [...state.done] }, NOW);
        expect(state.sending.size).toBeLessThanOrEqual(PARALLEL);
      }
      expect(state.phase, `round ${round} with ${p.parts} parts`).toBe('completing');
      expect(state.done.size).toBe(p.parts);
    }
  });
});
