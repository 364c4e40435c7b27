// A work queue that all languages push to and take from, with each other. Pushers and workers are killed, again and again: each job is
// done once, whoever had it in hand.

import test from 'ava'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { until } from '../../support/until.js'
import { patience } from './content.js'
import { Peer, withPeers } from './peer.js'
import { languages, type Language } from './roles.js'

withPeers(test)

const noEnd = 1e9
/** Numbers tell who pushed. */
const each = 1_000_000
const pusherOf = (number: number): Language => languages[Math.floor(number / each)]!

interface Turn {
  readonly what: string
  readonly number: number
  readonly attempt: number
}

const turnsOf = (worker: Peer): Turn[] =>
  worker.lines
    .filter((line) => line !== 'ready')
    .map((line) => {
      const [what = '', number, attempt] = line.split(' ')
      return { what, number: Number(number), attempt: Number(attempt) }
    })

test.serial('jobs of all languages, for workers in all', async (t) => {
  t.timeout(300_000)
  const name = uniqueName(t, { mayLeave: true }) // ids outlive the jobs
  using queue = WorkQueue.open(name, {
    jobs: 16,
    dedupWindow: 3_600_000,
    dedupIds: 100_000,
    maxAttempts: 100,
  })
  const chance = new Random(400)
  const workers: Peer[] = []
  const pushers: Peer[] = []
  const startWorker = (language: Language): Peer => {
    const worker = new Peer(t, language, 'work', name)
    workers.push(worker)
    return worker
  }
  const startPusher = (language: Language, first: number): Peer => {
    const pusher = new Peer(t, language, 'push-jobs', name, first, noEnd)
    pushers.push(pusher)
    return pusher
  }
  const working = languages.map(startWorker)
  const pushing = languages.map((language, at) => startPusher(language, at * each))

  for (let round = 0; round < 2; round++) {
    for (const [at, language] of languages.entries()) {
      const worker = working[at]!
      await worker.printed(worker.lines.length + 2 + chance.below(60))
      await worker.kill(chance)
      const pusher = pushing[at]!
      await pusher.printed(pusher.lines.length + 1 + chance.below(30))
      await pusher.kill(chance)
      working[at] = startWorker(language)
      // What the one before may have pushed last without telling is pushed again: it has an id.
      pushing[at] = startPusher(language, pusher.last! + 1)
      for (const other of [...working, ...pushing]) await other.printed(other.lines.length + 3)
    }
  }
  // Until everybody has done something for everybody.
  await until(() => {
    const pairs = workers.flatMap((worker) =>
      turnsOf(worker)
        .filter(({ what }) => what === 'done')
        .map(({ number }) => `${pusherOf(number)} → ${worker.language}`),
    )
    return new Set(pairs).size === languages.length ** 2
  }, patience)

  for (const pusher of pushing) await pusher.kill(chance)
  await until(() => {
    const { ready, leased, delayed, grouped } = queue.stats()
    return ready + leased + delayed + grouped === 0
  }, patience)
  const { pushed, completed, dead } = queue.stats()
  await until(() => {
    const told = workers.flatMap(turnsOf).filter(({ what }) => what === 'done').length
    return told >= completed - workers.length
  }, patience)
  for (const worker of working) await worker.kill()

  t.is(dead, 0)
  t.is(completed, pushed)
  // What was pushed for certain, and what a pusher may have pushed without telling.
  const certain = new Set(pushers.flatMap((pusher) => pusher.numbers))
  const possible = new Set(pushers.map((pusher) => (pusher.last ?? -1) + 1))
  const done = workers.flatMap(turnsOf).filter(({ what }) => what === 'done')
  const doneOnce = new Set(done.map(({ number }) => number))
  t.is(doneOnce.size, done.length, 'nothing is done twice')
  t.true([...doneOnce].every((number) => certain.has(number) || possible.has(number)))
  // A worker may have completed its last job without telling.
  const untold = new Set(
    workers.map((worker) => turnsOf(worker).at(-1)).map((turn) => turn?.number ?? -1),
  )
  const missing = [...certain].filter((number) => !doneOnce.has(number))
  t.true(
    missing.every((number) => untold.has(number)),
    `lost: ${missing.join(', ')}`,
  )
  // What failed once, and what was in the hands of one that died, came again.
  const attempts = new Map<number, number[]>()
  for (const { what, number, attempt } of workers.flatMap(turnsOf)) {
    if (what === 'took') attempts.set(number, [...(attempts.get(number) ?? []), attempt])
  }
  for (const number of doneOnce) {
    const most = Math.max(...(attempts.get(number) ?? []))
    t.true(number % 5 === 0 ? most >= 2 : most >= 1, `job ${number}, attempt ${most}`)
    t.is(new Set(attempts.get(number)).size, attempts.get(number)!.length, 'one lease each')
  }
})
