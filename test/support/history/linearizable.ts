// Can what concurrent users saw be explained by one call after the other?
//
// A history is linearizable (Herlihy and Wing, "Linearizability: a correctness condition for concurrent
// objects", 1990) if each call can be given an instant between its start and its end such that a sequential
// object, called in the order of these instants, gives the same answers. The search is that of Wing and Gong
// ("Testing and verifying concurrent objects", 1993): try every call that no other one precedes, and go back
// when the rest cannot follow. As Lowe has shown ("Testing for linearizability", 2017), it is fast when it never
// visits a configuration (the calls that took effect, and the state they led to) twice. Histories of several
// objects are split first: linearizability is local.

import { inspect, isDeepStrictEqual } from 'node:util'

import type { Broken, Operation } from './operation.js'

/** What a sequential object can do. */
export interface Model<State> {
  readonly initial: State
  /**
   * The states that `operation` can lead to from `state`, with the answer it gives in each; none if it cannot
   * happen there (to take a lock that somebody has). What the operation really answered is not its concern.
   */
  step(state: State, operation: Operation): readonly Step<State>[]
  /** The same text for the same state. */
  key(state: State): string
  /**
   * For calls that were cut off: those of the same kind are interchangeable, so that not every set of them
   * needs to be tried. Left out: each is of a kind of its own.
   */
  kind?(operation: Operation): string
}

export interface Step<State> {
  readonly state: State
  readonly output?: unknown
}

export interface Linearization {
  readonly ok: true
  /** The calls in the order in which they took effect, object by object. */
  readonly order: readonly Operation[]
}

export interface LinearizableOptions {
  /** Configurations visited per object before it is given up with an exception. Default two million. */
  readonly limit?: number
}

/**
 * Judges a history by the model of its object (or objects, if they are all alike). If it is not linearizable,
 * the explanation shows the first call whose return cannot be explained, and those around it.
 *
 * @throws Error if the history is none (a call that ended before it began), or the search exceeds its limit
 */
export function linearizable<State>(
  history: readonly Operation[],
  model: Model<State>,
  { limit = 2_000_000 }: LinearizableOptions = {},
): Linearization | Broken {
  const order: Operation[] = []
  for (const [object, operations] of byObject(history)) {
    const found = search(operations, model, limit)
    if (found === undefined) {
      const about = object === undefined ? '' : `${object}: `
      return { ok: false, explanation: about + explain(operations, model, limit) }
    }
    for (const { operation } of found) order.push(operation)
  }
  return { ok: true, order }
}

function byObject(history: readonly Operation[]): Map<string | undefined, Operation[]> {
  const objects = new Map<string | undefined, Operation[]>()
  for (const operation of history) {
    if (operation.end !== undefined && operation.end < operation.start) {
      throw new Error(`a call that ended before it began: ${show(operation)}`)
    }
    const operations = objects.get(operation.object)
    if (operations === undefined) objects.set(operation.object, [operation])
    else operations.push(operation)
  }
  return objects
}

/** A call that took effect, and the state after it. */
interface Placed<State> {
  readonly operation: Operation
  readonly state: State
}

/** One search: where it stands, and where it has been. */
class Search<State> {
  /** Calls that returned, by start. */
  readonly #returned: readonly Operation[]
  /** Calls that were cut off, by start. */
  readonly #cutOff: readonly Operation[]
  readonly #kinds: readonly string[]
  readonly #model: Model<State>
  readonly #limit: number
  readonly #done: Uint8Array
  readonly #taken: Uint8Array
  /** All calls that returned before this index have been placed. */
  #base = 0
  /** Indices of calls that returned and have been placed, from `#base` on. */
  readonly #ahead = new Set<number>()
  readonly #visited = new Set<string>()

  constructor(history: readonly Operation[], model: Model<State>, limit: number) {
    const sorted = [...history].sort((a, b) => compare(a.start, b.start))
    this.#returned = sorted.filter(({ end }) => end !== undefined)
    this.#cutOff = sorted.filter(({ end }) => end === undefined)
    this.#kinds = this.#cutOff.map((operation, i) => model.kind?.(operation) ?? String(i))
    this.#model = model
    this.#limit = limit
    this.#done = new Uint8Array(this.#returned.length)
    this.#taken = new Uint8Array(this.#cutOff.length)
  }

  /** An order that explains everything; `undefined` if there is none. */
  run(): Placed<State>[] | undefined {
    const path: Turn<State>[] = []
    let choices = this.#choices(this.#model.initial)
    for (;;) {
      if (this.#base === this.#returned.length) return path
      const choice = choices.pop()
      if (choice === undefined) {
        const back = path.pop()
        if (back === undefined) return undefined
        this.#undo(back)
        choices = back.rest
        continue
      }
      this.#place(choice)
      if (this.#isNew(choice.state)) {
        path.push({ ...choice, rest: choices })
        choices = this.#choices(choice.state)
      } else this.#undo(choice)
    }
  }

  /** What may come next, the most promising last: the call that returned first, those cut off if nothing else. */
  #choices(state: State): Choice<State>[] {
    const candidates: number[] = []
    // A call may come next if no other call ended before it began.
    let firstEnd: bigint | undefined
    for (let i = this.#base; i < this.#returned.length; i++) {
      if (this.#done[i] === 1) continue
      const { start, end } = this.#returned[i]!
      if (firstEnd !== undefined && start > firstEnd) break
      if (firstEnd === undefined || end! < firstEnd) firstEnd = end
      candidates.push(i)
    }
    const within = (i: number): boolean => this.#returned[i]!.start <= firstEnd!
    const next = candidates
      .filter(within)
      .sort((a, b) => compare(this.#returned[b]!.end!, this.#returned[a]!.end!))
    return [...this.#cutOffChoices(state, firstEnd), ...next.flatMap((i) => this.#steps(state, i))]
  }

  #cutOffChoices(state: State, firstEnd: bigint | undefined): Choice<State>[] {
    const choices: Choice<State>[] = []
    const kinds = new Set<string>()
    for (const [i, operation] of this.#cutOff.entries()) {
      if (firstEnd === undefined || operation.start > firstEnd) break
      const kind = this.#kinds[i]!
      if (this.#taken[i] === 1 || kinds.has(kind)) continue
      kinds.add(kind)
      for (const { state: next } of this.#model.step(state, operation)) {
        choices.push({ operation, state: next, index: i, cutOff: true })
      }
    }
    return choices
  }

  #steps(state: State, index: number): Choice<State>[] {
    const operation = this.#returned[index]!
    return this.#model
      .step(state, operation)
      .filter(({ output }) => isDeepStrictEqual(output, operation.output))
      .map(({ state: next }) => ({ operation, state: next, index, cutOff: false }))
  }

  #place({ index, cutOff }: Choice<State>): void {
    if (cutOff) {
      this.#taken[index] = 1
      return
    }
    this.#done[index] = 1
    this.#ahead.add(index)
    for (; this.#done[this.#base] === 1; this.#base++) this.#ahead.delete(this.#base)
  }

  #undo({ index, cutOff }: Choice<State>): void {
    if (cutOff) {
      this.#taken[index] = 0
      return
    }
    this.#done[index] = 0
    for (; this.#base > index; this.#base--) {
      if (this.#base - 1 !== index) this.#ahead.add(this.#base - 1)
    }
    this.#ahead.delete(index)
  }

  #isNew(state: State): boolean {
    const ahead = [...this.#ahead].sort((a, b) => a - b).join()
    const configuration = `${this.#base} ${ahead} ${this.#taken.join('')} ${this.#model.key(state)}`
    if (this.#visited.has(configuration)) return false
    this.#visited.add(configuration)
    if (this.#visited.size > this.#limit) {
      throw new Error(
        `undecided after ${this.#limit} configurations: check shorter histories, or fewer users at once`,
      )
    }
    return true
  }
}

interface Choice<State> extends Placed<State> {
  readonly index: number
  readonly cutOff: boolean
}

interface Turn<State> extends Choice<State> {
  /** What is left to try instead of it. */
  readonly rest: Choice<State>[]
}

function search<State>(
  history: readonly Operation[],
  model: Model<State>,
  limit: number,
): Placed<State>[] | undefined {
  return new Search(history, model, limit).run()
}

/** How much of what could be explained is shown before what could not. */
const shownBefore = 6

function explain<State>(history: readonly Operation[], model: Model<State>, limit: number): string {
  // What was seen up to an instant is a history, too, and of a linearizable one it is linearizable: so there
  // is a first return that makes it impossible.
  const returns = history
    .filter(({ end }) => end !== undefined)
    .sort((a, b) => compare(a.end!, b.end!))
  let [possible, impossible] = [-1, returns.length - 1]
  while (impossible - possible > 1) {
    const middle = (possible + impossible) >> 1
    if (search(until(history, returns[middle]!.end!), model, limit) === undefined)
      impossible = middle
    else possible = middle
  }
  const culprit = returns[impossible]!
  const seen = until(history, culprit.end!).map((operation) =>
    operation === culprit ? { ...operation, end: undefined } : operation,
  )
  const order = search(seen, model, limit) ?? []
  const own = order.findIndex(
    ({ operation: { process, start } }) => process === culprit.process && start === culprit.start,
  )
  const before = own === -1 ? order : order.slice(0, own)
  const concurrent = seen.filter(
    ({ start, end, process }) =>
      process !== culprit.process &&
      start <= culprit.end! &&
      (end === undefined || end >= culprit.start),
  )
  const origin = history.reduce(
    (first, { start }) => (start < first ? start : first),
    culprit.start,
  )
  const line = (operation: Operation): string => `  ${show(operation, origin)}`
  const state = before.at(-1)?.state ?? model.initial
  return [
    'no order of the calls explains what came back. The first that cannot be explained:',
    line(culprit),
    ...(concurrent.length === 0
      ? ['while nothing else was under way.']
      : ['while these were under way:', ...concurrent.map(line)]),
    ...(before.length === 0 ? [] : ['One order of what could be explained until then ended with:']),
    ...before
      .slice(-shownBefore)
      .map((placed) => `${line(placed.operation)} -> ${model.key(placed.state)}`),
    `In state ${model.key(state)}, ${culprit.name} ${possibleAnswers(model, state, culprit)}.`,
  ].join('\n')
}

/** What was known at that instant: what had not returned yet is cut off, what had not begun is not there. */
function until(history: readonly Operation[], instant: bigint): Operation[] {
  return history
    .filter(({ start }) => start <= instant)
    .map((operation) =>
      operation.end !== undefined && operation.end > instant
        ? { ...operation, end: undefined }
        : operation,
    )
}

function possibleAnswers<State>(model: Model<State>, state: State, operation: Operation): string {
  const steps = model.step(state, operation)
  if (steps.length === 0) return 'cannot happen'
  return `answers ${[...new Set(steps.map(({ output }) => showValue(output)))].join(' or ')}`
}

function show({ process, name, input, output, start, end }: Operation, origin = 0n): string {
  const from = microseconds(start - origin)
  const call = `${process}: ${name}(${input === undefined ? '' : showValue(input)})`
  if (end === undefined) return `[${from}, ?] ${call}`
  return `[${from}, ${microseconds(end - origin)}] ${call} = ${showValue(output)}`
}

function microseconds(nanoseconds: bigint): string {
  return `${(Number(nanoseconds) / 1000).toFixed(3)} us`
}

function showValue(value: unknown): string {
  return value === undefined ? 'nothing' : inspect(value, { breakLength: Infinity })
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
