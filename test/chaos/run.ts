// Strikes one arena after the other, and keeps the books.

import { setTimeout as pause } from 'node:timers/promises'

import { expect, type Arena } from './arena.js'
import { NativeVictims, type Death } from './native-victims.js'
import { NodeVictims } from './node-victims.js'
import type { Plan } from './plan.js'
import { PythonVictims } from './python-victims.js'
import { Random } from '../support/random.js'
import { holdings, Tally, type Holdings, type KindReport } from './tally.js'

/** Doorbells of peers that are kept open to be rung again and to be watched; a few sockets and pipes. */
const descriptorSlack = 24
/** Deaths after which nothing that survivors hold may grow any more. */
const warmUp = 20

/** One line that moves on a terminal; elsewhere only what is finished is printed. */
export class Progress {
  readonly #out = process.stdout
  #drawn = 0

  show(text: string): void {
    if (!this.#out.isTTY || performance.now() - this.#drawn < 100) return
    this.#drawn = performance.now()
    this.#out.write(`\r\u001b[K${text}`)
  }

  print(text: string): void {
    this.#out.write(`${this.#out.isTTY ? '\r\u001b[K' : ''}${text}\n`)
  }
}

export class Chaos {
  readonly #plan: Plan
  readonly #random: Random
  readonly #progress: Progress
  readonly #end: number
  readonly #node = new NodeVictims(2)
  readonly #python = PythonVictims.find()

  constructor(plan: Plan, progress: Progress) {
    this.#plan = plan
    this.#random = new Random(plan.seed)
    this.#progress = progress
    this.#end = performance.now() + plan.seconds * 1000
  }

  /** Everything about one kind, with that many deaths. */
  async strikeAll(arena: Arena, kills: number): Promise<KindReport> {
    const { kind } = arena
    const tally = new Tally()
    const natives = new Map<string, NativeVictims>()
    let before: Holdings | undefined
    try {
      await arena.open()
      for (const side of arena.sides) {
        const seed = this.#random.below(2 ** 31)
        natives.set(side, await NativeVictims.start(arena.ledger(side).name, seed))
      }
      while (tally.kills < kills && performance.now() < this.#end) {
        const side = arena.sides[tally.kills % arena.sides.length]!
        await this.#strike(arena, side, natives.get(side)!, tally)
        if (tally.kills === warmUp) before = holdings()
        this.#progress.show(
          `${kind}: ${tally.kills} of ${kills} kills, longest wait ${tally.longest.toFixed(1)} ms`,
        )
      }
    } catch (error) {
      tally.violations.push(`${kind}: ${describe(error)}`)
    }
    const after = holdings()
    try {
      await arena.close()
    } catch (error) {
      tally.violations.push(`${kind}, at the end: ${describe(error)}`)
    }
    for (const native of natives.values()) await native.end()
    const grown = grownSince(before, after)
    if (grown !== undefined) tally.violations.push(`${kind}: ${grown}`)
    return tally.report(kind, arena.traffic, [before ?? after, after], arena.figures)
  }

  async end(): Promise<void> {
    await this.#node.end()
    await this.#python?.end()
  }

  async #strike(arena: Arena, side: string, native: NativeVictims, tally: Tally): Promise<void> {
    const { kind } = arena
    const place = arena.place(side)
    const dice = this.#random.below(100)
    const microseconds = this.#random.below([300, 3000, 15_000][this.#random.below(3)]!)
    const stop = (pid: number) => this.#watchStopped(arena, side, pid, tally)
    let death: Death
    // The first of each side is stopped: a short run shall have some, too.
    if (dice < 1 || tally.kills < arena.sides.length) {
      death = await native.stop(kind, side, place, 3000 + microseconds, stop)
    } else if (dice < 11) {
      tally.nodeVictims++
      const part = { kind, side, place, ledger: arena.ledger(side).name }
      const stopped = dice < 2 ? stop : undefined
      death = await this.#node.kill(part, 1 + this.#random.below(20), stopped)
    } else if (dice < 19 && this.#python?.plays(kind, side) === true) {
      tally.pythonVictims++
      const part = { kind, side, place, ledger: arena.ledger(side).name }
      death = await this.#python.kill(part, 1 + this.#random.below(20))
    } else {
      death = await native.kill(dice < 56 ? 'point' : 'kill', kind, side, place, microseconds)
    }
    tally.died(death.how)
    try {
      const waited = await arena.recover(side, death.at)
      tally.wait(side, death.how, waited)
      const held = waited ?? 0
      expect(held <= this.#plan.limit, `a survivor was held up for ${held.toFixed(1)} ms`)
    } catch (error) {
      const what = `after death ${tally.kills}, of a ${side} (${death.how}): ${describe(error)}`
      throw new Error(what, { cause: error })
    }
  }

  async #watchStopped(arena: Arena, side: string, pid: number, tally: Tally): Promise<void> {
    // Longer than all that is looked for from time to time; most need not be, and would take most of the time of a long run.
    const milliseconds = this.#plan.kills >= 1000 && tally.stops % 10 === 0 ? 2000 : 300
    tally.stops++
    const check = arena.whileStopped(side, pid)
    const end = performance.now() + milliseconds
    while (performance.now() < end) {
      check()
      await pause(20)
    }
    check()
  }
}

function grownSince(before: Holdings | undefined, after: Holdings): string | undefined {
  if (before === undefined) return undefined
  if (after.threads > before.threads) {
    return `the survivors' threads have grown from ${before.threads} to ${after.threads}`
  }
  if (after.descriptors > before.descriptors + descriptorSlack) {
    return `the survivors' descriptors have grown from ${before.descriptors} to ${after.descriptors}`
  }
  return undefined
}

export function describe(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string }
  return `${code === undefined ? '' : `${code}: `}${message ?? String(error)}`
}
