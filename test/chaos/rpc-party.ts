// What calls are in `npm run chaos`: content with a number in, content with the next number out. How often a number was executed stands in
// memory outside. The same as in rpc_victims.hpp.

import { SharedMemory } from 'millrace'
import { call, contract } from 'millrace/rpc'

import { Violation } from './arena.js'
import { contentOf, numberIn } from './content.js'

const words = 2 ** 20

/** Numbers of calls that survivors make are below this, those of victims are not, whatever multiple of `words` is added. */
export const survivors = words / 2

/** The first number of a victim, which is the how many-th. */
export const firstOf = (victim: number): number => victim * words + survivors

/** `once` must not be executed twice. */
export const chaos = contract(
  'chaos',
  {
    again: call<Uint8Array, Uint8Array>({ idempotent: true }),
    once: call<Uint8Array, Uint8Array>(),
  },
  { codec: 'bytes' },
)

export const isOnce = (number: number): boolean => number % 2 === 1

/** How often each call was executed, whoever did it. */
export class Runs {
  readonly #memory: SharedMemory
  readonly #counts: Uint32Array

  private constructor(memory: SharedMemory) {
    this.#memory = memory
    this.#counts = memory.view(Uint32Array)
  }

  static create(place: string): Runs {
    return new Runs(SharedMemory.create(`${place}-runs`, 4 * words))
  }

  static open(place: string): Runs {
    return new Runs(SharedMemory.open(`${place}-runs`))
  }

  of(number: number): number {
    return Atomics.load(this.#counts, number % words)
  }

  /** Before a number is used, and used again: those of survivors are below `survivors`. */
  clear(number: number): void {
    Atomics.store(this.#counts, number % words, 0)
  }

  add(number: number): void {
    Atomics.add(this.#counts, number % words, 1)
  }

  close(): void {
    this.#memory.close()
  }
}

/** What serves, and says before it answers that it has executed. */
export function handlersOf(
  runs: Runs,
  after: () => Promise<unknown> | undefined = () => undefined,
) {
  const execute = async (bytes: Uint8Array) => {
    const number = numberIn(bytes)
    if (number === 0) throw new Violation('a request is not whole')
    runs.add(number)
    await after()
    return contentOf(number + 1)
  }
  return { again: execute, once: execute }
}
