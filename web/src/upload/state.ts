/**
 * The upload as a pure function: (state, event) → (state, commands). Nothing here sends, waits or draws; runner.ts does what the
 * commands say and reports back with events. S3 is the truth about what has arrived: after every interruption the upload looks there first.
 *
 *   waiting ─► opening ─► sending ─► completing ─► validating ─► active
 *                 │        ▲   │         │             └──────► rejected   the reason is kept, another file may be tried
 *                 │        │   ├─► paused
 *                 └────────┴───┴─► failed      may be resumed: what has arrived stays in S3
 *   any of the first ─────────────► cancelled  what has arrived is deleted
 */

export type Phase =
  | 'waiting'
  | 'opening'
  | 'looking'
  | 'sending'
  | 'paused'
  | 'completing'
  | 'validating'
  | 'active'
  | 'rejected'
  | 'failed'
  | 'cancelled';

/** What the service decided about the parts. */
export interface Plan {
  upload: string;
  mode: 'put' | 'multipart';
  size: number;
  partSize: number;
  parts: number;
}

export interface Signed {
  number: number;
  method: string;
  url: string;
  headers: Record<string, string>;
  expiresAt: number; // milliseconds
}

export interface Rejection {
  code: string;
  message: string;
  hint: string;
}

export interface State {
  phase: Phase;
  size: number; // bytes of the file
  offline: boolean;
  plan?: Plan;
  done: ReadonlySet<number>;
  /** Parts on the way, with the bytes that have left. */
  sending: ReadonlyMap<number, number>;
  /** Parts that failed, with how often in a row. */
  failures: ReadonlyMap<number, number>;
  /** Parts that wait before they are tried again. */
  waiting: ReadonlySet<number>;
  signed: ReadonlyMap<number, Signed>;
  /** Parts whose signature was asked for. */
  signing: ReadonlySet<number>;
  /** How far the examination is, in bytes. */
  validated: number;
  problem?: string; // a sentence, when failed
  rejection?: Rejection;
}

export type Failure =
  | 'network' // no answer
  | 'busy' // 429, 5xx: try again
  | 'expired' // 403: the signature is too old
  | 'there' // 412: the object exists already, so all of it has arrived
  | 'refused'; // any other answer: trying again does not help

export type Event =
  | { is: 'start' }
  | { is: 'adopt'; plan: Plan } // go on with an upload that is open already
  | { is: 'opened'; plan: Plan; signed: Signed[] }
  | { is: 'looked'; state: 'open' | 'received' | 'gone'; have: number[] }
  | { is: 'signed'; signed: Signed[] }
  | { is: 'progress'; part: number; bytes: number }
  | { is: 'sent'; part: number }
  | { is: 'lost'; part: number; failure: Failure; message: string }
  | { is: 'due'; part: number }
  | { is: 'completed' }
  | { is: 'validation'; bytes: number }
  | { is: 'accepted' }
  | { is: 'rejected'; rejection: Rejection }
  | { is: 'failed'; message: string } // a call to the service failed for good
  | { is: 'pause' }
  | { is: 'resume' }
  | { is: 'cancel' }
  | { is: 'offline' }
  | { is: 'online' };

export type Command =
  | { do: 'open' }
  | { do: 'look' }
  | { do: 'sign'; parts: number[] }
  | { do: 'send'; part: number; from: number; to: number; request: Signed }
  | { do: 'wait'; part: number; milliseconds: number }
  | { do: 'stop' } // take back everything that is on the way
  | { do: 'complete' }
  | { do: 'watch' } // follow the examination
  | { do: 'abort' };

export type Step = [State, Command[]];

export const PARALLEL = 4;
/** Failures in a row of one part after which the upload stops and asks. */
export const PATIENCE = 6;
const SIGN_AHEAD = 24;
const SIGN_AT_MOST = 100; // the service's own limit
const FRESH = 20_000; // a request that is signed for less than this is signed again first

export function initial(size: number): State {
  return {
    phase: 'waiting',
    size,
    offline: false,
    done: new Set(),
    sending: new Map(),
    failures: new Map(),
    waiting: new Set(),
    signed: new Map(),
    signing: new Set(),
    validated: 0,
  };
}

/** now is in milliseconds, as Date.now gives it. */
export function reduce(s: State, e: Event, now: number): Step {
  switch (e.is) {
    case 'start':
      return s.phase === 'waiting' ? [{ ...s, phase: 'opening' }, [{ do: 'open' }]] : [s, []];
    case 'adopt':
      if (s.phase !== 'waiting') return [s, []];
      if (e.plan.size !== s.size) return fail(s, 'size');
      return [{ ...s, phase: 'looking', plan: e.plan }, [{ do: 'look' }]];
    case 'opened':
      if (s.phase !== 'opening') return s.phase === 'cancelled' ? [{ ...s, plan: e.plan }, [{ do: 'abort' }]] : [s, []];
      return go({ ...s, phase: 'sending', plan: e.plan, signed: keyed(s.signed, e.signed) }, now);
    case 'looked':
      return looked(s, e.state, e.have, now);
    case 'signed': {
      const signing = without(s.signing, ...e.signed.map((x) => x.number));
      return go({ ...s, signed: keyed(s.signed, e.signed), signing }, now);
    }
    case 'progress':
      return s.sending.has(e.part) ? [{ ...s, sending: new Map(s.sending).set(e.part, e.bytes) }, []] : [s, []];
    case 'sent':
      return s.sending.has(e.part) ? go(arrived(s, e.part), now) : [s, []];
    case 'lost':
      return s.sending.has(e.part) ? lost(s, e.part, e.failure, e.message, now) : [s, []];
    case 'due':
      return go({ ...s, waiting: without(s.waiting, e.part) }, now);
    case 'completed':
      return s.phase === 'completing' ? [{ ...s, phase: 'validating' }, [{ do: 'watch' }]] : [s, []];
    case 'validation':
      return s.phase === 'validating' ? [{ ...s, validated: Math.max(s.validated, e.bytes) }, []] : [s, []];
    case 'accepted':
      return s.phase === 'validating' ? [{ ...s, phase: 'active', validated: s.size }, []] : [s, []];
    case 'rejected':
      return s.phase === 'validating' ? [{ ...s, phase: 'rejected', rejection: e.rejection }, []] : [s, []];
    case 'failed':
      return over(s) ? [s, []] : fail(s, e.message);
    case 'pause':
      return s.phase === 'sending' || s.phase === 'looking' ? [{ ...halted(s), phase: 'paused' }, [{ do: 'stop' }]] : [s, []];
    case 'resume':
      if (s.phase !== 'paused' && s.phase !== 'failed') return [s, []];
      if (!s.plan) return [{ ...s, phase: 'opening', problem: undefined }, [{ do: 'open' }]];
      return [{ ...halted(s), phase: 'looking', problem: undefined, failures: new Map() }, [{ do: 'look' }]];
    case 'cancel':
      if (over(s) || s.phase === 'validating' || s.phase === 'completing') return [s, []];
      return [{ ...halted(s), phase: 'cancelled' }, s.plan ? [{ do: 'stop' }, { do: 'abort' }] : [{ do: 'stop' }]];
    case 'offline':
      if (s.offline) return [s, []];
      return s.phase === 'sending' ? [{ ...halted(s), offline: true }, [{ do: 'stop' }]] : [{ ...s, offline: true }, []];
    case 'online':
      if (!s.offline) return [s, []];
      return s.phase === 'sending' ? [{ ...s, offline: false, phase: 'looking' }, [{ do: 'look' }]] : [{ ...s, offline: false }, []];
  }
}

/** Fills the free places with parts, asks for signatures ahead of need, and completes when all parts are there. */
function go(s: State, now: number): Step {
  const plan = s.plan;
  if (s.phase !== 'sending' || s.offline || !plan) return [s, []];
  if (s.done.size === plan.parts) return [{ ...halted(s), phase: 'completing' }, [{ do: 'complete' }]];
  const commands: Command[] = [];
  const sending = new Map(s.sending);
  const unsigned: number[] = [];
  let ahead = 0;
  for (let part = 1; part <= plan.parts && ahead < SIGN_AHEAD; part++) {
    if (s.done.has(part) || sending.has(part) || s.waiting.has(part)) continue;
    const request = s.signed.get(part);
    if (!request || request.expiresAt - now < FRESH) {
      ahead++;
      if (!s.signing.has(part)) unsigned.push(part);
    } else if (sending.size < PARALLEL) {
      sending.set(part, 0);
      commands.push({ do: 'send', part, ...range(plan, part), request });
    } else {
      ahead++;
    }
  }
  // Signatures are asked for in lots, when those at hand run low.
  const low = ahead - unsigned.length < PARALLEL * 2;
  const ask = unsigned.length > 0 && low ? unsigned.slice(0, SIGN_AT_MOST) : [];
  if (ask.length > 0) commands.push({ do: 'sign', parts: ask });
  return [{ ...s, sending, signing: new Set([...s.signing, ...ask]) }, commands];
}

/** Bytes of a part, from inclusive and to exclusive. */
export function range(plan: Plan, part: number): { from: number; to: number } {
  const from = (part - 1) * plan.partSize;
  return { from, to: Math.min(from + plan.partSize, plan.size) };
}

function arrived(s: State, part: number): State {
  const sending = new Map(s.sending);
  sending.delete(part);
  const failures = new Map(s.failures);
  failures.delete(part);
  const signed = new Map(s.signed);
  signed.delete(part);
  return { ...s, sending, failures, signed, done: new Set(s.done).add(part) };
}

function lost(s: State, part: number, failure: Failure, message: string, now: number): Step {
  if (failure === 'there' && s.plan?.mode === 'put') return go(arrived(s, part), now);
  const sending = new Map(s.sending);
  sending.delete(part);
  const count = (s.failures.get(part) ?? 0) + 1;
  // A storage that refuses an old signature may do it without the headers that let a page read the refusal: it then looks like a lost
  // connection. So what fails twice is signed again, whatever it looked like.
  const signed = new Map(s.signed);
  if (failure === 'expired' || count > 1) signed.delete(part);
  const next = { ...s, sending, signed, failures: new Map(s.failures).set(part, count) };
  if (failure === 'refused' || failure === 'there' || count >= PATIENCE) return fail(next, message);
  if (failure === 'expired' && count === 1) return go(next, now);
  const [after, commands] = go({ ...next, waiting: new Set(next.waiting).add(part) }, now);
  return [after, [{ do: 'wait', part, milliseconds: backoff(part, count) }, ...commands]];
}

/** 1 s, 2 s, 4 s … 30 s, spread by the part so that parts that failed together do not come back together. */
function backoff(part: number, count: number): number {
  return Math.min(30_000, 1000 * 2 ** (count - 1)) + (part % PARALLEL) * 150;
}

function looked(s: State, state: 'open' | 'received' | 'gone', have: number[], now: number): Step {
  if (s.phase !== 'looking') return [s, []];
  switch (state) {
    case 'open':
      return go({ ...s, phase: 'sending', done: new Set(have) }, now);
    case 'received':
      return [{ ...s, phase: 'validating' }, [{ do: 'watch' }]];
    case 'gone':
      // The service gave it up meanwhile. The file is still here, so begin again.
      return [{ ...halted(s), phase: 'opening', plan: undefined, done: new Set(), signed: new Map() }, [{ do: 'open' }]];
  }
}

function fail(s: State, problem: string): Step {
  return [{ ...halted(s), phase: 'failed', problem }, [{ do: 'stop' }]];
}

function halted(s: State): State {
  return { ...s, sending: new Map(), waiting: new Set(), signing: new Set() };
}

/** Whether nothing more can happen. */
export function over(s: State): boolean {
  return s.phase === 'active' || s.phase === 'rejected' || s.phase === 'cancelled';
}

/** Whether leaving the page now would interrupt it. */
export function busy(s: State): boolean {
  return s.phase === 'opening' || s.phase === 'looking' || s.phase === 'sending' || s.phase === 'completing';
}

/** Bytes that S3 has or that have left. */
export function transferred(s: State): number {
  let bytes = 0;
  if (s.plan) for (const part of s.done) bytes += length(s.plan, part);
  for (const sent of s.sending.values()) bytes += sent;
  return Math.min(bytes, s.size);
}

function length(plan: Plan, part: number): number {
  const { from, to } = range(plan, part);
  return to - from;
}

function keyed(old: ReadonlyMap<number, Signed>, more: Signed[]): ReadonlyMap<number, Signed> {
  const all = new Map(old);
  for (const x of more) all.set(x.number, x);
  return all;
}

function without(set: ReadonlySet<number>, ...gone: number[]): ReadonlySet<number> {
  const rest = new Set(set);
  for (const x of gone) rest.delete(x);
  return rest;
}
