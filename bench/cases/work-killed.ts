// Many tasks, some workers, and one of these is killed (SIGKILL) in the midst of a task: which tasks nobody did, which were done
// twice, and when another worker began what the dead one had begun. What is begun and done is in each worker's ledger, a pipe.

import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { payload } from '../side/content.js'
import { member, type Member } from '../side/crew.js'
import { engineOf } from '../side/engines/engine.js'
import { InFlight } from '../side/in-flight.js'
import type { Fate, Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

/** When so many are done in all, one worker is killed. */
const killAfter = 300
/** After the last one is done, so long is waited for any that come twice. */
const afterwardsMs = 500
const lookEveryMs = 20

export async function lead(parameters: Parameters): Promise<Measured> {
  const { count, many = 2, patience = 3000, inFlight = 1, bytes } = parameters
  const pusher = await engineOf(parameters).pusher(parameters)
  const members = await Promise.all(
    Array.from({ length: many }, () => member('work-killed-worker', parameters)),
  )
  const tasks = new Ledger(members, count)
  const pushes = new InFlight(inFlight)
  for (let i = 0; i < count; i++) {
    const task = payload(bytes)
    task.writeInt32LE(i)
    if (inFlight > 1) await pushes.add(pusher.push(task))
    else await pusher.push(task)
  }
  await pushes.all()
  await tasks.quiet(patience)
  for (const { process: child } of members) child.kill('SIGKILL')
  await pusher.close()
  const fate = tasks.fate()
  return { p50: fate.lastAfter * 1e6, fate }
}

class Ledger {
  readonly #count: number
  readonly #begun = new Map<number, { readonly by: number; readonly at: number }[]>()
  readonly #done = new Map<number, number>()
  #doneInAll = 0
  #isTold = false
  #killed: { readonly task: number; readonly at: number } | undefined
  #lastAt = performance.now()

  constructor(members: readonly Member[], count: number) {
    this.#count = count
    members.forEach(({ ledger }, by) => {
      createInterface({ input: ledger }).on('line', (line) => {
        this.#note(line, by)
        if (this.#doneInAll < killAfter || this.#isTold) return
        this.#isTold = true
        members[0]!.process.send('die')
      })
    })
  }

  #note(line: string, by: number): void {
    const [what, number] = line.split(' ')
    const task = Number(number)
    this.#lastAt = performance.now()
    if (what === 'begun') {
      const before = this.#begun.get(task) ?? []
      this.#begun.set(task, [...before, { by, at: this.#lastAt }])
    } else if (what === 'killed') {
      this.#killed = { task, at: this.#lastAt }
    } else {
      this.#done.set(task, (this.#done.get(task) ?? 0) + 1)
      this.#doneInAll++
    }
  }

  /** Waits until all are done and none has come twice for a while, or nothing was heard for `patience`. */
  async quiet(patience: number): Promise<void> {
    const isOver = (ms: number) => performance.now() - this.#lastAt > ms
    while (!isOver(this.#done.size === this.#count ? afterwardsMs : patience)) {
      await sleep(lookEveryMs)
    }
  }

  fate(): Fate {
    const killed = this.#killed
    if (killed === undefined) {
      throw new Error(`nobody was killed: ${String(this.#doneInAll)} tasks were done`)
    }
    const again = this.#begun.get(killed.task)?.find(({ by }) => by !== 0)
    return {
      tasks: this.#count,
      lost: this.#count - this.#done.size,
      twice: [...this.#done.values()].filter((times) => times > 1).length,
      ...(again === undefined ? {} : { againAfter: again.at - killed.at }),
      lastAfter: this.#lastAt - killed.at,
    }
  }
}
