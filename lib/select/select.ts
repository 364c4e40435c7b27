// Waiting for the first of several. Takes nothing: it says where there is something, and whoever asked takes it.
//
// Fair by rotation: of those that have something, the one is told that was told of the longest time ago. Of n sources none waits for
// more than n - 1 others, whatever lists they are in.
//
//   select ──► look at all ──one has something──► told
//                  │none
//                  ▼
//              watch each ──the first that tells, the time, the signal──► watch none ──► told

import { fairly } from '../base/fairness.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { readWait, show, type Wait, type WaitOptions } from '../base/options.js'
import { selectable, type Readiness, type Selectable } from '../base/selectable.js'
import { now } from '../base/time.js'
import { Waiter } from '../base/waiter.js'
import { invalidArgument, timeoutError, type MillraceError } from '../errors.js'

/** What `select` tells of: one of its sources, and how it stands with it. */
export type Selected<Source> = SelectedState<Source> | SelectedFailure<Source>

/** One that has something, or will never have anything. */
export interface SelectedState<Source> {
  /** Which. */
  readonly source: Source
  /** Its place in the list. */
  readonly index: number
  /** `ready`: something can be taken. `ended`: the other side has closed, and everything is taken. */
  readonly state: 'ready' | 'ended'
  /** None. */
  readonly error: undefined
}

/** One that has failed: the other side has died or given up, or this one is closed. */
export interface SelectedFailure<Source> {
  /** Which. */
  readonly source: Source
  /** Its place in the list. */
  readonly index: number
  /** A call that takes would reject. */
  readonly state: 'failed'
  /** What a call that takes would reject with. */
  readonly error: unknown
}

/** What is known of a source from one call to the next. */
interface Known {
  readonly readiness: Readiness
  /** By the count of all that was told; 0: never. */
  toldAt: number
  /** When it was last looked at thoroughly. */
  thoroughAt: number
}

/** One place of a list. */
interface Entry<Source> {
  readonly source: Source
  readonly index: number
  readonly known: Known
}

/** The end of one source is told of within so many milliseconds, also while there is always something in another. */
const thoroughMs = 20

const allKnown = new WeakMap<Selectable, Known>()
let told = 0

/**
 * Resolves with the first of `sources` that has something: consumers of queues, readers of frames and cells, work
 * queues, events, and whatever else is {@link Selectable}. Takes nothing: take it from `source`, by a call that does not wait
 * (`tryPop`, `tryReceive`, `tryTake`), since others may be quicker where several take.
 *
 * If several have something it is the one that was told of the longest time ago. Several calls may wait for one source: each is told.
 * A source that has ended or failed is told of as well, again at each call: leave it out of the next one, or wait for who follows
 * with `waitForPeer()`. Never blocks; while it waits nothing runs.
 *
 * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { FrameReader, select, SpscQueue } from 'millrace'
 *
 * using commands = SpscQueue.consumer('commands')
 * using camera = await FrameReader.open('camera')
 * const { source } = await select([commands, camera], { timeout: 1000 })
 * if (source === commands) console.log(String(commands.tryPop()))
 * ```
 */
export function select<const Sources extends readonly Selectable[]>(
  sources: Sources,
  options?: WaitOptions,
): Promise<Selected<Sources[number]>> {
  try {
    const wait = readWait(options)
    return selectOf(entriesOf<Sources[number]>(sources), wait)
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * What `select` would tell, again and again: `for await (const { source } of selectEach([a, b]))`. A source that has ended or failed is
 * told of once and then left out; the loop ends when none is left. Whoever takes nothing is told the same again, after the others.
 * Leaving the loop closes nothing.
 *
 * @throws MillraceError `INVALID_ARGUMENT`; from the iteration `ABORTED`
 */
export function selectEach<const Sources extends readonly Selectable[]>(
  sources: Sources,
  options?: IterationOptions,
): Iteration<Selected<Sources[number]>> {
  let left = entriesOf<Sources[number]>(sources)
  const note = (found: Selected<Sources[number]>): Selected<Sources[number]> => {
    if (found.state !== 'ready') left = left.filter(({ index }) => index !== found.index)
    return found
  }
  return iterate(
    {
      take: async (wait) =>
        left.length === 0 ? undefined : note(await selectOf(left, readWait(wait))),
      handle: { closed: false },
    },
    options,
  )
}

function entriesOf<Source extends Selectable>(sources: readonly Source[]): Entry<Source>[] {
  const given: unknown = sources
  if (!Array.isArray(given) || given.length === 0) {
    throw invalidArgument(`sources must be a list of at least one to wait for, not ${show(given)}`)
  }
  return sources.map((source, index) => ({ source, index, known: knownOf(source, index) }))
}

function knownOf(source: Selectable, index: number): Known {
  const given: unknown = source
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function'
  const known = isObject ? allKnown.get(source) : undefined
  if (known !== undefined) return known
  if (!isObject || typeof source[selectable] !== 'function') {
    throw invalidArgument(
      `sources[${String(index)}] must be something that can be waited for (a QueueConsumer, FrameReader, CellReader, WorkQueue, ` +
        `SharedEvent …), not ${show(given)}; what has nothing to tell without being taken, as a lock or a semaphore, is none`,
    )
  }
  const fresh: Known = { readiness: source[selectable](), toldAt: 0, thoroughAt: -Infinity }
  allKnown.set(source, fresh)
  return fresh
}

function selectOf<Source>(entries: Entry<Source>[], wait: Wait): Promise<Selected<Source>> {
  const found = lookAtAll(entries)
  if (found !== undefined) return fairly(found)
  return new Promise((resolve, reject) => {
    new Watching(entries, wait, resolve, reject).begin()
  })
}

/** Of those that have something, the one that was told of the longest time ago. */
function lookAtAll<Source>(entries: readonly Entry<Source>[]): Selected<Source> | undefined {
  const time = now()
  let chosen: Entry<Source> | undefined
  let found: Selected<Source> | undefined
  for (const entry of entries) {
    if (chosen !== undefined && entry.known.toldAt >= chosen.known.toldAt) continue
    const seen = lookAt(entry, time)
    if (seen === undefined) continue
    chosen = entry
    found = seen
  }
  if (chosen !== undefined) chosen.known.toldAt = ++told
  return found
}

function lookAt<Source>(entry: Entry<Source>, time: number): Selected<Source> | undefined {
  const { known } = entry
  const isDue = time - known.thoroughAt >= thoroughMs
  if (isDue) known.thoroughAt = time
  try {
    const state = known.readiness.look(isDue)
    return state && tidings(entry, state)
  } catch (error) {
    return failure(entry, error)
  }
}

function tidings<Source>(
  { source, index }: Entry<Source>,
  state: 'ready' | 'ended',
): Selected<Source> {
  return { source, index, state, error: undefined }
}

function failure<Source>({ source, index }: Entry<Source>, error: unknown): Selected<Source> {
  return { source, index, state: 'failed', error }
}

/** One call that waits. */
class Watching<Source> {
  readonly #entries: readonly Entry<Source>[]
  readonly #wait: Wait
  readonly #waiter: Waiter
  readonly #stops: (() => void)[] = []
  #isOver = false

  constructor(
    entries: readonly Entry<Source>[],
    wait: Wait,
    resolve: (selected: Selected<Source>) => void,
    reject: (error: unknown) => void,
  ) {
    this.#entries = entries
    this.#wait = wait
    const end = resolve as (value: unknown) => void
    this.#waiter = new Waiter(this, () => undefined, end, reject, undefined)
  }

  begin(): void {
    const { signal, timeout } = this.#wait
    if (timeout! < Infinity) this.#waiter.endAt(now() + timeout!, this.#late, timeout!)
    if (signal !== undefined) this.#waiter.endWith(signal)
    for (const entry of this.#entries) {
      const { readiness } = entry.known
      const stop = readiness.watch(
        (state) => {
          this.#tell(entry, tidings(entry, state))
        },
        (error) => {
          this.#tell(entry, failure(entry, error))
        },
      )
      if (this.#hasTold) {
        stop() // it had something already
        return
      }
      this.#stops.push(stop)
    }
  }

  /** For the waiter: whose time or signal has ended it. False if it is over already. */
  remove(waiter: Waiter): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    waiter.stop()
    for (const stop of this.#stops) stop()
    return true
  }

  /** For the waiter: nobody stands behind it. */
  lookAgain(): void {
    // nothing
  }

  #tell({ known }: Entry<Source>, selected: Selected<Source>): void {
    if (!this.remove(this.#waiter)) return
    known.toldAt = ++told
    this.#waiter.resolve(selected)
  }

  get #hasTold(): boolean {
    return this.#isOver
  }

  readonly #late = (timeout: number): MillraceError =>
    timeoutError(
      this.#entries.length === 1
        ? 'something in what was selected'
        : `something in one of the ${String(this.#entries.length)} that were selected`,
      timeout,
      'none of the other sides has sent anything: find out why, or allow more time',
    )
}
