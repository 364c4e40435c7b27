// What victims and survivors of one side tell each other about their work: a few 64-bit words in shared memory.
// The same as struct Ledger in victims.cpp.

import { SharedMemory } from 'millrace'

const words = ['trying', 'done', 'base', 'left', 'right', 'holding', 'turns'] as const

type Word = (typeof words)[number]

export class Ledger {
  readonly name: string
  readonly #memory: SharedMemory
  readonly #words: BigUint64Array

  private constructor(memory: SharedMemory) {
    this.name = memory.name
    this.#memory = memory
    this.#words = memory.view(BigUint64Array)
  }

  static create(name: string): Ledger {
    return new Ledger(SharedMemory.create(name, 4096))
  }

  static open(name: string): Ledger {
    return new Ledger(SharedMemory.open(name))
  }

  get(word: Word): number {
    return Number(Atomics.load(this.#words, words.indexOf(word)))
  }

  set(word: Word, value: number): void {
    Atomics.store(this.#words, words.indexOf(word), BigInt(value))
  }

  add(word: Word, value = 1): void {
    Atomics.add(this.#words, words.indexOf(word), BigInt(value))
  }

  close(): void {
    this.#memory.close()
  }
}
