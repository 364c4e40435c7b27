// A generator with a seed, so that a run can be repeated as far as the scheduler allows.

export class Random {
  #state: bigint

  constructor(seed: number) {
    this.#state = BigInt(seed)
  }

  /** 64 bits. Source: Vigna, splitmix64; the same numbers as native/testing/random.hpp. */
  next(): bigint {
    const mask = 0xffff_ffff_ffff_ffffn
    this.#state = (this.#state + 0x9e3779b97f4a7c15n) & mask
    let z = this.#state
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask
    return z ^ (z >> 31n)
  }

  /** 0 to bound - 1. */
  below(bound: number): number {
    return Number(this.next() % BigInt(bound))
  }
}
