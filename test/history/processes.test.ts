// What several processes see of one object, some of them killed in the middle of a call, is what a sequential
// object could have shown them one after the other.
//
// A short run belongs to the tests; for a long one:
//   npx ava out/test/history/processes.test.js -- --rounds=100

import { statSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { Cell } from 'millrace'
import { Counter, SharedEvent } from 'millrace/sync'

import { ownDirectory } from '../support/directory.js'
import { exactlyOnce, type Message, type Sent } from '../support/history/exactly-once.js'
import { linearizable, type Model } from '../support/history/linearizable.js'
import {
  cellModel,
  counterModel,
  manualEventModel,
  mutexModel,
  queueModel,
  rwLockModel,
  semaphoreModel,
} from '../support/history/models.js'
import { death, type Operation, type Verdict } from '../support/history/operation.js'
import { readHistory } from '../support/history/recorder.js'
import { openMutex, openRwLock } from '../support/locks.js'
import { uniqueName } from '../support/names.js'
import { run, type Run } from '../support/process.js'
import { createSemaphore } from '../support/semaphores.js'
import { until } from '../support/until.js'
import { lastMessage } from './messages.js'

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { rounds: { type: 'string' } },
  strict: false,
  allowPositionals: true,
})
const rounds = Number(values.rounds ?? 1)

/** How many calls each process makes. */
const calls = 150
/** Bytes of a recorded call, about: to tell from its file how far a process has come. */
const callBytes = 120

class Crowd {
  readonly #t: ExecutionContext
  readonly #directory: string
  readonly #name: string
  readonly #all: { readonly running: Run; readonly path: string; readonly who: string }[] = []
  readonly #deaths: Operation[] = []

  constructor(t: ExecutionContext, name: string) {
    this.#t = t
    this.#name = name
    this.#directory = ownDirectory(t)
  }

  /** Starts processes, lets them get ready, and then go all at once. */
  async start(...roles: readonly (readonly [role: string, count: number])[]): Promise<void> {
    const begun = roles.map(([role, count]) => {
      const who = `${role}${this.#all.length}-`
      const path = join(this.#directory, who)
      const fixture = new URL('./fixtures/user.js', import.meta.url)
      const running = run(this.#t, fixture, [role, this.#name, path, who, String(count)])
      this.#all.push({ running, path, who })
      return running
    })
    await Promise.all(begun.map((running) => running.next()))
    for (const running of begun) running.send('go')
  }

  /** Kills the `index`-th process that was started, after about so many of its calls. */
  async killAfter(count: number, index: number): Promise<void> {
    const { running, path, who } = this.#all[index]!
    await until(() => statSync(path).size > count * callBytes, 20_000)
    const start = process.hrtime.bigint()
    await running.kill()
    this.#deaths.push(death(who, start, process.hrtime.bigint()))
  }

  /** All that happened, when all that were not killed have ended. */
  async history(): Promise<{ readonly calls: Operation[]; readonly deaths: Operation[] }> {
    const dead = new Set(this.#deaths.map(({ process: who }) => who))
    for (const { running, who } of this.#all) {
      if (dead.has(who)) continue
      const { code } = await running.ended()
      if (code !== 0) throw new Error(`${who} ended with ${code}\n${running.stderr}`)
    }
    return { calls: this.#all.flatMap(({ path }) => readHistory(path)), deaths: this.#deaths }
  }
}

function accept(t: ExecutionContext, verdict: Verdict): void {
  t.true(verdict.ok, verdict.ok ? '' : verdict.explanation)
}

function judge<State>(
  t: ExecutionContext,
  history: readonly Operation[],
  model: Model<State>,
): void {
  const cutOff = history.filter(({ end }) => end === undefined).length
  t.log(`${history.length} calls, ${cutOff} cut off`)
  t.true(history.length > calls)
  accept(t, linearizable(history, model))
}

/** Two that live, one that is killed and replaced. */
async function threeOf(t: ExecutionContext, role: string, name: string, round: number) {
  const crowd = new Crowd(t, name)
  await crowd.start([role, Infinity], [role, calls], [role, calls])
  await crowd.killAfter(20 + ((round * 37) % 100), 0)
  await crowd.start([role, calls])
  return await crowd.history()
}

for (let round = 0; round < rounds; round++) {
  const nth = `round ${round + 1}`

  test.serial(`counter, ${nth}`, async (t) => {
    const name = uniqueName(t)
    using _stays = Counter.open(name)
    const history = await threeOf(t, 'counter', name, round)
    judge(t, history.calls, counterModel())
  })

  test.serial(`mutex, ${nth}`, async (t) => {
    const name = uniqueName(t)
    openMutex(t, name)
    const history = await threeOf(t, 'mutex', name, round)
    judge(t, [...history.calls, ...history.deaths], mutexModel)
  })

  test.serial(`rwlock, ${nth}`, async (t) => {
    const name = uniqueName(t)
    openRwLock(t, name)
    const history = await threeOf(t, 'rwLock', name, round)
    judge(t, [...history.calls, ...history.deaths], rwLockModel)
  })

  test.serial(`semaphore, ${nth}`, async (t) => {
    const semaphore = createSemaphore(t, 2)
    const history = await threeOf(t, 'semaphore', semaphore.name, round)
    judge(t, history.calls, semaphoreModel(2))
  })

  test.serial(`event, ${nth}`, async (t) => {
    const name = uniqueName(t)
    using _stays = SharedEvent.open(name, { reset: 'manual' })
    const history = await threeOf(t, 'event', name, round)
    judge(t, history.calls, manualEventModel)
  })

  test.serial(`cell, ${nth}`, async (t) => {
    const name = uniqueName(t)
    const crowd = new Crowd(t, name)
    await crowd.start(['cellWriter', Infinity])
    using _stays = await Cell.reader(name)
    await crowd.start(['cellReader', calls], ['cellReader', calls], ['cellReader', Infinity])
    await crowd.killAfter(50, 3)
    await crowd.killAfter(50 + ((round * 37) % 100), 0)
    await crowd.start(['cellWriter', calls], ['cellReader', calls])
    judge(t, (await crowd.history()).calls, cellModel)
  })

  test.serial(`queue, ${nth}`, async (t) => {
    const crowd = new Crowd(t, uniqueName(t))
    await crowd.start(['producer', Infinity], ['consumer', Infinity])
    await crowd.killAfter(20 + ((round * 37) % 100), 0)
    await crowd.start(['producer', Infinity])
    await crowd.killAfter(20 + ((round * 41) % 100), 1)
    await crowd.start(['consumer', Infinity])
    await crowd.killAfter(60, 2)
    await crowd.start(['producer', calls])
    const history = await crowd.history()
    judge(t, history.calls, queueModel)
    accept(t, exactlyOnce(sentIn(history.calls), receivedIn(history.calls), { inHand: 1 }))
  })
}

function sentIn(history: readonly Operation[]): Sent[] {
  return history
    .filter(({ name, end, output }) => name === 'tryPush' && (end === undefined || output === true))
    .map(({ input, end, process: who }) => ({
      ...message(input as string, who),
      certain: end !== undefined,
    }))
}

function receivedIn(history: readonly Operation[]): Message[] {
  return history
    .filter(({ name, output }) => name === 'tryPop' && output !== undefined)
    .sort((a, b) => (a.start < b.start ? -1 : 1))
    .map(({ output }) => message(output as string))
}

/** Messages are the name of their producer and a number, but for the last one. */
function message(content: string, who?: string): Message {
  const [, producer = 'nobody', sequence = '0'] = /^(\D+\d+-)(\d+)$/.exec(content) ?? []
  if (content !== lastMessage) return { producer, sequence: Number(sequence), content }
  return { producer: who ?? lastProducer, sequence: calls, content }
}

/** In the history of the queue. */
const lastProducer = 'producer4-'
