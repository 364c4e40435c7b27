// How many jobs each of many processes has done: in shared memory, a cache line and its neighbour for each, so that counting costs
// nobody anything.

import { SharedMemory } from 'millrace'

const stride = 16
const memoryOf = (name: string) => `${name}.tallies`

/** Of the process that asks. */
export class Tallies {
  readonly #memory: SharedMemory
  readonly #numbers: Float64Array
  readonly #many: number

  constructor(name: string, many: number) {
    this.#many = many
    this.#memory = SharedMemory.create(
      memoryOf(name),
      many * stride * Float64Array.BYTES_PER_ELEMENT,
    )
    this.#numbers = this.#memory.view(Float64Array)
  }

  now(): number[] {
    return Array.from({ length: this.#many }, (_, index) => this.#numbers[index * stride]!)
  }

  close(): void {
    this.#memory.close()
  }
}

/** Of one that is asked: returns what adds one to its tally. */
export function tally(name: string, index: number): () => void {
  const numbers = SharedMemory.open(memoryOf(name)).view(Float64Array)
  const at = index * stride
  return () => {
    numbers[at]!++
  }
}
