// Select between processes: that no wake-up is lost, that it keeps a process alive or does not, that clocks of tests do not stop it.

import test from 'ava'
import { select, selectEach, SpscQueue, type MillraceError, type QueueConsumer } from 'millrace'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { within } from '../support/until.js'

const fixture = new URL('./fixtures/partner.js', import.meta.url)
const patience = 90_000

// Each message is sent only when the one before was answered, so a wake-up that is lost ends it all.
for (const [how, tuning] of [
  ['that sleep at once', { poll: 0, spin: 0 }],
  ['as they are', {}],
] as const) {
  test(`partners that send when they were answered are all served to the end, by waits ${how}`, async (t) => {
    const name = uniqueName(t)
    const [partners, rounds] = [4, 400]
    const consumers: QueueConsumer[] = []
    const answers = new Map<unknown, ReturnType<typeof SpscQueue.producer>>()
    using jobs = WorkQueue.open(name, tuning)
    const programs = Array.from({ length: partners }, (_, i) => {
      const consumer = SpscQueue.consumer(`${name}-there-${i}`, tuning)
      const answer = SpscQueue.producer(`${name}-back-${i}`, tuning)
      t.teardown(() => {
        consumer.close({ discard: true })
        answer.close({ discard: true })
      })
      consumers.push(consumer)
      answers.set(consumer, answer)
      return run(t, fixture, [name, String(i), String(rounds)])
    })
    const served = new Map<unknown, number>()
    const serve = async () => {
      for await (const { source, state, error } of selectEach([...consumers, jobs])) {
        if (state === 'failed' && !jobs.closed) throw error
        if (state !== 'ready') {
          if ([...answers.keys()].every((one) => served.get(one) === rounds)) jobs.close()
          continue
        }
        if (source === jobs) {
          const job = jobs.tryTake()
          if (job === undefined) continue
          const from = Number(job.bytes[0])
          job.complete()
          await answers.get(consumers[from]!)!.push('job')
        } else {
          const message = (source as QueueConsumer).tryPop()
          if (message === undefined) throw new Error('told of what is not there')
          served.set(source, (served.get(source) ?? 0) + 1)
          await answers.get(source)!.push(message)
        }
      }
    }
    await within(patience, serve())
    for (const consumer of consumers) t.is(served.get(consumer), rounds)
    for (const program of programs) t.is((await program.ended()).code, 0, program.stderr)
  })
}

test('whoever waits is kept alive by it, unless all its sources are not to', async (t) => {
  const name = uniqueName(t)
  const alive = run(t, fixture, [name, 'waits'])
  t.is(await within(patience, alive.next()), 'waiting')
  using producer = SpscQueue.producer(name)
  producer.tryPush('x')
  t.deepEqual(await within(patience, alive.next()), 'ready')
  t.is((await alive.ended()).code, 0, alive.stderr)
  const unrefed = run(t, fixture, [uniqueName(t), 'unrefed'])
  t.is((await within(patience, unrefed.ended())).code, 0, unrefed.stderr)
})

test('a process that exits in the middle of it leaves in good order, also where a listener selects', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name)
  const exits = run(t, fixture, [name, 'exits'])
  const { state } = await within(patience, select([consumer]))
  t.is(state, 'ready')
  t.is(String(consumer.tryPop()), 'the last')
  t.is((await exits.ended()).code, 7, exits.stderr)
  const end = await within(patience, select([consumer]))
  t.is((end.error as MillraceError).code, 'ERR_MILLRACE_PEER_FAILED') // as everything that ends with 7 says
})

test('clocks that a test puts in the place of the real ones do not stop it', async (t) => {
  const mocked = run(t, fixture, [uniqueName(t), 'mocked'])
  t.is(await within(patience, mocked.next()), 'ERR_MILLRACE_TIMEOUT')
  t.is(await within(patience, mocked.next()), 'ready')
  t.is((await mocked.ended()).code, 0, mocked.stderr)
})
