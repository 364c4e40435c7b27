// What is told of what becomes of channels (life-events.ts), made of what is known; loaded when somebody listens.

import { native } from '../addon/native.js'
import type { ObjectKind, ObjectState } from '../addon/upkeep.js'
import { afterAllElse } from './time.js'
import { heard, type LifeEvent, type LifeFacts } from './life-events.js'

/** By the classes of handles. */
const classes: Readonly<Record<string, readonly [kind: LifeFacts['kind'], role?: string]>> = {
  QueueProducer: ['queue', 'producer'],
  QueueConsumer: ['queue', 'consumer'],
  FrameWriter: ['frames', 'writer'],
  FrameReader: ['frames', 'reader'],
  CellWriter: ['cell', 'writer'],
  CellReader: ['cell', 'reader'],
  SharedMemory: ['memory'],
  Counter: ['counter'],
  Semaphore: ['semaphore'],
  Mutex: ['mutex'],
  RwLock: ['rwlock'],
  SharedEvent: ['event'],
  Barrier: ['barrier'],
  SharedRateLimiter: ['rate-limiter'],
  SharedBreaker: ['breaker'],
  WorkQueue: ['work'],
  StageHandle: ['pipeline'],
  Topics: ['topics'],
  Taker: ['calls', 'server'],
  Caller: ['calls', 'client'],
  Gateway: ['gateway'],
}

/** By `layout::Kind`. */
const kinds: readonly ObjectKind[] = [
  'unknown',
  'queue',
  'frames',
  'memory',
  'cell',
  'counter',
  'event',
  'barrier',
  'mutex',
  'rwlock',
  'work',
  'topics',
  'calls',
  'rate-limiter',
  'breaker',
]
/** By `HappeningWhat` in native/include/millrace/happenings.hpp. */
const happened = ['buried', 'taken-over', 'dead-lettered'] as const
/** By `layout::DeadReason`. */
const reasons = ['none', 'rejected', 'attempts', 'died', 'expired'] as const

/** Whose death was told last, by handle. */
const told = new WeakMap<object, number>()

export function tellOf(
  event: LifeEvent,
  handle: { readonly name: string },
  more: object = {},
): void {
  const [kind, role] = classOf(handle)
  tell(event, handle.name, kind, { ...(role === undefined ? {} : { role }), ...more })
}

export function tellGone(handle: { readonly name: string }, peer: number): void {
  if (told.get(handle) === peer) return
  told.set(handle, peer)
  tellOf('peer-gone', handle, { peer })
}

export function tellSwept(
  removed: readonly {
    name: string
    kind: ObjectKind
    state: ObjectState
    path: string
    size: number
  }[],
): void {
  for (const { name, kind, state, path, size } of removed) {
    tell('swept', name, kind, { state, path, size })
  }
}

export function tellDeaths(): void {
  const all = native.happenings()
  if (all === undefined) return
  let missed = all.at(-1) as number
  for (let at = 0; at + 7 <= all.length; at += 7) {
    const [what, kind, name, peer, reason, attempts, time] = all.slice(at, at + 7) as [
      ...[number, number, string, number, number, number, number],
    ]
    const event = happened[what]!
    const more = event === 'dead-lettered' ? { reason: reasons[reason], attempts } : { peer }
    tell(event, name, kinds[kind] ?? 'unknown', {
      ...more,
      ...(missed > 0 ? { missed } : {}),
      time,
    })
    missed = 0
  }
}

export function tell(
  event: LifeEvent,
  channel: string,
  kind: LifeFacts['kind'],
  more: object,
): void {
  const shown = channel.replace(/(\/\/)[^/?]*@/, '$1…@')
  // eslint-disable-next-line no-restricted-properties -- the clock of the day, for people
  const time = Date.now()
  const facts = { event, channel: shown, kind, pid: process.pid, time, ...more }
  afterAllElse(() => heard(event)?.publish(facts))
}

function classOf(handle: object): readonly [kind: LifeFacts['kind'], role?: string] {
  for (let like: unknown = handle; like !== null; like = Object.getPrototypeOf(like)) {
    const { name } = (like as { constructor: { readonly name: string } }).constructor
    if (Object.hasOwn(classes, name)) return classes[name]!
  }
  return ['unknown']
}
