// The program of docs/queue.md that holds messages in place, taken from the page and run.

import test from 'ava'
import { SpscQueue } from 'millrace'

import { programOf, startNode } from '../support/documented.js'
import { uniqueName } from '../support/names.js'

const patience = 30_000

test('a worker is killed at work: the next one gets its job again, and what was done is not done again', async (t) => {
  const jobs = uniqueName(t)
  const program = programOf(t, 'queue.md', 'worker.ts', { jobs })
  const producer = SpscQueue.producer(jobs)
  t.teardown(() => {
    producer.close({ discard: true })
  })
  producer.tryPushBatch(['job 1', 'job 2', 'job 3'])
  const first = await startNode(t, program)
  await first.printed('job 2 begins', patience)
  await first.kill('SIGKILL')
  t.deepEqual(first.lines, ['job 1 begins', 'job 1 is done', 'job 2 begins'])
  const second = await startNode(t, program)
  await producer.waitForPeer({ timeout: patience })
  await producer.end({ timeout: patience })
  t.deepEqual(await second.ended(patience), { code: 0, signal: null }, second.stderr)
  t.deepEqual(second.lines, ['job 2 begins', 'job 2 is done', 'job 3 begins', 'job 3 is done'])
})
