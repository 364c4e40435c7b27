// What each primitive does when nobody else is there: the sequential objects that histories are compared with.
//
// Calls are named after the methods of the library and have one argument at most. How the answers are written
// is said for each model; a call that timed out answers 'timeout' and has done nothing.

import type { Model, Step } from './linearizable.js'
import type { Operation } from './operation.js'

/** `get`, `set`, `add`, `exchange`, `compareExchange` of `[expected, replacement]`. Values are bigints. */
export function counterModel(initial = 0n): Model<bigint> {
  return {
    initial,
    key: String,
    kind: byCall,
    step(value, operation) {
      const input = operation.input as bigint
      switch (operation.name) {
        case 'get':
          return only(value, value)
        case 'set':
          return only(input)
        case 'add': {
          const sum = BigInt.asIntN(64, value + input)
          return only(sum, sum)
        }
        case 'exchange':
          return only(input, value)
        case 'compareExchange': {
          const [expected, replacement] = operation.input as [bigint, bigint]
          return only(value === expected ? replacement : value, value)
        }
        default:
          return unknown(operation, 'counter')
      }
    },
  }
}

export interface LockState {
  readonly writer: string | undefined
  /** The writer's call was cut off, so it never learned that it had the lock. */
  readonly unaware: boolean
  readonly readers: readonly string[]
  /** An exclusive owner ended inside, and no other one has finished since. */
  readonly abandoned: boolean
  /** A process that is dead takes no lock any more, whatever call it died in. */
  readonly dead: readonly string[]
}

const free: LockState = {
  writer: undefined,
  unaware: false,
  readers: [],
  abandoned: false,
  dead: [],
}

/**
 * `lock`, `tryLock` answer 'held', 'abandoned' (held, and the one before died inside), 'refused' or
 * 'timeout'; `release`, `abandon`; `die` for the death of a process.
 *
 * Do not mix `tryLock` with waits that time out: one that gives up just when it gets the lock has it for an
 * instant, which this model does not know.
 */
export const mutexModel: Model<LockState> = lockModel('mutex', {
  lock: (state, call) => acquireExclusive(state, call),
  tryLock: (state, call) => acquireExclusive(state, call, isFree(state)),
})

/**
 * `readLock`, `writeLock`, `tryReadLock`, `tryWriteLock`, otherwise as the mutex. To try to read may be
 * refused while others read, because one that waits to write is not overtaken.
 */
export const rwLockModel: Model<LockState> = lockModel('rwlock', {
  writeLock: (state, call) => acquireExclusive(state, call),
  tryWriteLock: (state, call) => acquireExclusive(state, call, isFree(state)),
  readLock: (state, call) => acquireShared(state, call),
  tryReadLock: (state, call) => acquireShared(state, call, isFree(state)),
})

type Acquire = (state: LockState, call: Operation) => readonly Step<LockState>[]

function lockModel(what: string, acquiring: Readonly<Record<string, Acquire>>): Model<LockState> {
  return {
    initial: free,
    key: ({ writer, unaware, readers, abandoned, dead }) =>
      `{writer: ${writer ?? 'none'}${unaware ? ', unaware' : ''}, readers: [${readers.join()}], abandoned: ${String(abandoned)}, ` +
      `dead: [${dead.join()}]}`,
    step(state, operation) {
      const by = operation.process
      if (operation.name === 'die') return die(state, by)
      if (state.dead.includes(by)) return []
      if (operation.name === 'release') return giveBack(state, by, false)
      if (operation.name === 'abandon') return giveBack(state, by, true)
      const acquire = acquiring[operation.name] ?? unknown(operation, what)
      return acquire(state, operation)
    },
  }
}

function isFree({ writer, readers }: LockState): boolean {
  return writer === undefined && readers.length === 0
}

/** A call that waits answers late or never; one that only tries is refused, unless it is `certain` to succeed. */
function acquireExclusive(
  state: LockState,
  { process: writer, end }: Operation,
  certain?: boolean,
): readonly Step<LockState>[] {
  const failed = failures(state, certain)
  if (!isFree(state)) return failed
  return [
    { state: { ...state, writer, unaware: end === undefined }, output: held(state) },
    ...failed,
  ]
}

function acquireShared(
  state: LockState,
  { process: reader }: Operation,
  certain?: boolean,
): readonly Step<LockState>[] {
  const failed = failures(state, certain)
  if (state.writer !== undefined || state.readers.includes(reader)) return failed
  const readers = [...state.readers, reader].sort()
  return [{ state: { ...state, readers }, output: held(state) }, ...failed]
}

function failures(state: LockState, certain: boolean | undefined): Step<LockState>[] {
  if (certain === undefined) return [{ state, output: 'timeout' }]
  return certain ? [] : [{ state, output: 'refused' }]
}

function held({ abandoned }: LockState): string {
  return abandoned ? 'abandoned' : 'held'
}

function giveBack(state: LockState, by: string, abandoned: boolean): readonly Step<LockState>[] {
  if (state.writer === by) return only({ ...state, writer: undefined, unaware: false, abandoned })
  if (!state.readers.includes(by)) return []
  return only({ ...state, readers: state.readers.filter((reader) => reader !== by) })
}

/** Who dies inside abandons the lock, unless it was granted the lock and had not learned of it. */
function die(state: LockState, who: string): readonly Step<LockState>[] {
  const dead = [...state.dead, who].sort()
  if (state.writer !== who) {
    return only({ ...state, readers: state.readers.filter((reader) => reader !== who), dead })
  }
  const left = { ...state, writer: undefined, unaware: false, dead }
  const abandoned = { ...left, abandoned: true }
  return state.unaware ? [{ state: abandoned }, { state: left }] : only(abandoned)
}

/**
 * `wait` answers `true` or 'timeout', `tryWait` `true` or `false`; `post` gives one permit back. A process
 * that dies takes the permits it holds with it: its death is no operation here.
 */
export function semaphoreModel(permits: number): Model<number> {
  return {
    initial: permits,
    key: String,
    kind: byCall,
    step(value, operation) {
      const taken = value > 0 ? only(value - 1, true) : []
      switch (operation.name) {
        case 'post':
          return only(value + 1)
        case 'wait':
          return [...taken, { state: value, output: 'timeout' }]
        case 'tryWait':
          return value > 0 ? taken : only(value, false)
        default:
          return unknown(operation, 'semaphore')
      }
    },
  }
}

export interface CellState {
  readonly version: number
  readonly value: unknown
}

/**
 * A register with one writer at a time. `write` of a value answers its version, `read` answers `undefined`
 * before the first, then `{ version, value }`.
 */
export const cellModel: Model<CellState> = {
  initial: { version: 0, value: undefined },
  key: ({ version, value }) => `${version}: ${String(value)}`,
  step(state, operation) {
    const version = state.version + 1
    switch (operation.name) {
      case 'write':
        return only({ version, value: operation.input }, version)
      case 'read':
        return only(state, state.version === 0 ? undefined : state)
      default:
        return unknown(operation, 'cell')
    }
  },
}

/** `set`, `reset`, `isSet`, `tryWait` answers `true` or `false`, `wait` `true` or 'timeout'. */
export const manualEventModel: Model<boolean> = {
  initial: false,
  key: String,
  kind: byCall,
  step(set, operation) {
    switch (operation.name) {
      case 'set':
        return only(true)
      case 'reset':
        return only(false)
      case 'isSet':
      case 'tryWait':
        return only(set, set)
      case 'wait':
        return [...(set ? only(set, true) : []), { state: set, output: 'timeout' }]
      default:
        return unknown(operation, 'event')
    }
  },
}

/**
 * The same with automatic reset; the state is the number of signals. A signal that comes while another one
 * has not been used may be the same as that, depending on who waits, which this model does not know.
 */
export const autoEventModel: Model<number> = {
  initial: 0,
  key: String,
  kind: byCall,
  step(signals, operation) {
    const taken = signals > 0 ? only(signals - 1, true) : []
    switch (operation.name) {
      case 'set':
        return signals === 0 ? only(1) : [{ state: signals }, { state: signals + 1 }]
      case 'reset':
        return only(0)
      case 'isSet':
        return only(signals, signals > 0)
      case 'tryWait':
        return signals > 0 ? taken : only(signals, false)
      case 'wait':
        return [...taken, { state: signals, output: 'timeout' }]
      default:
        return unknown(operation, 'event')
    }
  },
}

/**
 * First in, first out. `push` answers nothing, `tryPush` `true`, or `false` (full, which this model does not
 * judge); `pop` and `tryPop` answer the oldest message, `undefined` if there is none.
 */
export const queueModel: Model<readonly unknown[]> = {
  initial: [],
  key: (messages) => `[${messages.map(String).join()}]`,
  step(messages, operation) {
    switch (operation.name) {
      case 'push':
        return only([...messages, operation.input])
      case 'tryPush':
        return [
          { state: [...messages, operation.input], output: true },
          { state: messages, output: false },
        ]
      case 'pop':
      case 'tryPop':
        return only(messages.slice(1), messages[0])
      default:
        return unknown(operation, 'queue')
    }
  },
}

function only<State>(state: State, output?: unknown): readonly Step<State>[] {
  return [{ state, output }]
}

function byCall({ name, input }: Operation): string {
  return `${name}(${String(input)})`
}

function unknown({ name }: Operation, what: string): never {
  throw new Error(`the model of a ${what} has no '${name}'`)
}
