// Work queues: what is pushed and taken, what a lease is, and how both end with the connection.

import { afterAllElse } from '../../base/time.js'
import { hasCode, type MillraceError } from '../../errors.js'
import type { Job } from '../../work/job.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { assert, claims, hushed, numbered, pause, rejects, same, until } from '../scene.js'
import type { Asked } from '../suite.js'
import type { PatternScene } from './scene.js'

const text = (job: Job): string => Buffer.from(job.bytes).toString()
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    afterAllElse(resolve)
  })

/** All that are ready, which are done with it. */
function texts(queue: WorkQueue): string[] {
  const found: string[] = []
  for (;;) {
    const message = queue.tryReceive()
    if (message === undefined) return found
    found.push(message.toString())
  }
}

/** Resolves when the job is not ours any more. */
function lost({ signal }: Job): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else {
      signal.addEventListener('abort', () => {
        resolve()
      })
    }
  })
}

/** What settling throws, now or later. */
function settling(settle: () => unknown): Promise<unknown> {
  return new Promise((resolve) => {
    resolve(settle())
  })
}

export const work: readonly Asked<PatternScene>[] = [
  {
    name: 'work: pushed, taken and settled as where the queue is',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ dedupWindow: 60_000 })
      assert.deepEqual(await far.push('one', { id: 'a', priority: 3 }), { duplicate: false })
      assert.deepEqual(await far.push('one', { id: 'a' }), { duplicate: true })
      same(await far.pushBatch(['two', 'three'], { group: 'g' }), 2)
      const first = await far.takeOne()
      assert.deepEqual(
        [text(first), first.id, first.priority, first.attempt],
        ['one', 'a', 3, 1],
        'the job as it was pushed',
      )
      same(near.stats().leased, 1)
      await first.complete()
      same(first.settled, 'completed')
      same(near.stats().completed, 1)
      const second = await far.takeOne()
      same(second.group, 'g')
      await second.retry({ error: new Error('not yet') })
      const again = await far.takeOne()
      assert.deepEqual([text(again), again.attempt], ['two', 2], 'what was given back comes again')
      await again.reject('never')
      same([...near.dead.peek()][0]?.error, 'never')
      const [last] = await far.takeBatch(5)
      same(text(last!), 'three')
      await last!.release()
      same((await far.receive()).toString(), 'three')
      same(near.stats().ready, 0)
      near.dead.purge()
      same(far.maxBytes, near.maxBytes)
      same(far.jobs, near.jobs)
    },
  },
  {
    name: 'work: jobs come in the order in which they were pushed, each once',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue()
      const numbers = Array.from({ length: 60 }, (_, i) => String(i))
      await Promise.all(numbers.map((number) => far.push(number)))
      const found: string[] = []
      while (found.length < numbers.length) {
        const jobs = await far.takeBatch(16)
        found.push(...jobs.map(text))
        await Promise.all(
          jobs.map(async (job) => {
            await job.complete()
          }),
        )
      }
      assert.deepEqual(found, numbers)
      same(near.stats().completed, numbers.length)
      same(near.stats().ready, 0)
    },
  },
  {
    name: 'work: jobs of every length arrive whole',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ bytes: 2 ** 20 })
      for (const length of [4, 127, 128, 129, 4096, 65_535, 65_536, 300_000]) {
        const sent = numbered(length, length)
        await far.push(sent)
        const job = await far.takeOne()
        assert.ok(sent.equals(job.bytes), `${String(length)} bytes, as they were pushed`)
        await job.complete()
      }
      await far.push('')
      same((await far.receive()).length, 0)
      await rejects(far.push(Buffer.alloc(near.maxBytes + 1)), 'ERR_MILLRACE_TOO_LARGE')
    },
  },
  {
    name: 'work: of many workers one has each job',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far, another } = await scene.queue()
      const done: string[] = []
      const workers = [far, another(), near]
      const working = workers.map((queue) =>
        hushed(
          queue.work(
            async (job) => {
              await turn()
              if (text(job) === '3' && job.attempt === 1) throw new Error('once')
              done.push(text(job))
            },
            { concurrency: 3, drainOnClose: 1000 },
          ),
        ),
      )
      const numbers = Array.from({ length: 60 }, (_, i) => String(i))
      await Promise.all(numbers.map((number) => far.push(number)))
      await until(() => near.stats().completed === numbers.length, 'all are done')
      for (const queue of workers) queue.close()
      await Promise.all(working)
      assert.deepEqual(
        done.toSorted((a, b) => Number(a) - Number(b)),
        numbers,
      )
    },
  },
  {
    name: 'work: a result goes to the next queue as its job is completed',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue()
      const results = await scene.queue()
      await near.push('job')
      const job = await far.takeOne()
      const completing = (): Promise<unknown> => job.complete({ to: results.near, bytes: 'result' })
      if (!far.traits.immediate) {
        await rejects(settling(completing), 'ERR_MILLRACE_UNSUPPORTED')
        await job.complete()
        claims(false, 'a connection has no step that spans two queues')
      }
      await completing()
      same(near.stats().completed, 1)
      same((await results.far.receive()).toString(), 'result')
    },
  },
  {
    name: 'work: a full queue holds pushes up, and loses nothing',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ jobs: 4 })
      const pushed: string[] = []
      for (let i = 0; i < 4; i++) {
        await far.push(String(i))
        pushed.push(String(i))
      }
      await rejects(far.push('too many', { timeout: 10 }), 'ERR_MILLRACE_TIMEOUT')
      const control = new AbortController()
      const given = hushed(far.push('given up', { signal: control.signal }))
      await turn()
      control.abort()
      await rejects(given, 'ERR_MILLRACE_ABORTED')
      const { executed } = (await given.catch((error: unknown) => error)) as MillraceError
      const waiting = hushed(Promise.all(['4', '5'].map((number) => far.push(number))))
      const found: string[] = []
      await until(() => {
        found.push(...texts(near))
        return found.includes('5')
      }, 'who waits for room gets it')
      await waiting
      // What was given up as it was on its way may be there: that is what the error says.
      if (executed !== 'unknown') assert.ok(!found.includes('given up'), 'it was not pushed')
      assert.deepEqual(
        found.filter((one) => one !== 'given up'),
        [...pushed, '4', '5'],
      )
    },
  },
  {
    name: 'work: a take that is given up takes nothing',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue()
      await rejects(far.takeOne({ timeout: 5 }), 'ERR_MILLRACE_TIMEOUT')
      for (let round = 0; round < 40; round++) {
        const control = new AbortController()
        const taking = hushed(far.takeOne({ signal: control.signal }))
        if (round % 2 === 0) await turn()
        const pushed = near.push(String(round))
        for (let i = 0; i < round % 7; i++) await turn()
        control.abort()
        await pushed
        const job = await taking.catch((error: unknown) => {
          assert.ok(hasCode(error, 'ERR_MILLRACE_ABORTED'), String(error))
          return undefined
        })
        if (job !== undefined) await job.complete()
        else {
          // The other side may have it in hand for a moment, until it hears that nobody waits for it.
          let found: string[] = []
          await until(() => (found = texts(near)).length > 0, 'the job is there still')
          assert.deepEqual(found, [String(round)])
        }
      }
      same(near.stats().leased, 0)
    },
  },
  {
    name: 'work: closing ends who waits, with CLOSED',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far, another } = await scene.queue({ jobs: 1 })
      const taking = [hushed(far.takeOne()), hushed(far.takeOne())]
      await pause()
      far.close()
      for (const one of taking) await rejects(one, 'ERR_MILLRACE_CLOSED')
      await rejects(
        settling(() => far.takeOne()),
        'ERR_MILLRACE_CLOSED',
      )
      const other = another()
      await other.push('fills it')
      const pushing = hushed(other.push('waits'))
      await pause()
      other.close()
      await rejects(pushing, 'ERR_MILLRACE_CLOSED')
      same((await near.receive()).toString(), 'fills it')
    },
  },
  {
    name: 'work: what a worker has in hand goes back when it ends',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far, another } = await scene.queue()
      await near.push('a')
      await near.push('b')
      const begun = await far.takeOne()
      same(text(begun), 'a', 'looked at: this attempt counts')
      const untouched = await far.takeOne()
      far.close()
      const other = another()
      const [first, second] = [await other.takeOne(), await other.takeOne()]
      same(text(first), 'a')
      same(first.attempt, 2)
      same(text(second), 'b')
      if (far.traits.leases === 'connection') same(second.attempt, 1, 'nobody had begun with it')
      await rejects(
        settling(() => begun.complete()),
        'ERR_MILLRACE_CLOSED',
      )
      await rejects(
        settling(() => untouched.bytes),
        'ERR_MILLRACE_CLOSED',
      )
      await first.complete()
      await second.complete()
    },
  },
  {
    name: 'work: a lease that has run out is lost, and its token is older',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ leaseTimeout: 40 })
      await near.push('slow')
      const job = await far.takeOne()
      const { token } = job
      const gone = scene.during('the lease to be lost', lost(job))
      let newer: bigint | undefined
      await until(() => {
        const other = near.tryTake()
        newer = other?.token
        other?.complete() // at once: its own lease is as short
        return other !== undefined
      }, 'another one gets it')
      assert.ok(newer! > token, 'each lease has a higher token')
      await gone
      await rejects(
        settling(() => job.complete()),
        'ERR_MILLRACE_LEASE_LOST',
      )
      same(near.stats().completed, 1)
    },
  },
  {
    name: 'work: a lease ends with its connection, and waiting takes go on',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue()
      const { connection } = scene
      await near.push('in hand')
      const job = await far.takeOne()
      same(text(job), 'in hand')
      await job.extend(1) // by now it is known that its attempt has begun
      const waiting = far.takeOne()
      const gone = scene.during('the lease to be lost', lost(job))
      connection.cut()
      await gone
      await rejects(
        settling(() => job.complete()),
        'ERR_MILLRACE_LEASE_LOST',
      )
      const again = await waiting
      same(text(again), 'in hand')
      same(again.attempt, 2)
      await again.complete()
    },
  },
  {
    name: 'work: a push with an id counts once, however often the connection breaks',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ dedupWindow: 60_000 })
      const { connection } = scene
      const numbers = Array.from({ length: 40 }, (_, i) => String(i))
      for (const number of numbers) {
        const pushing = far.push(number, { id: number })
        for (let i = 0; i < Number(number) % 5; i++) await turn()
        if (Number(number) % 8 === 7) connection.cut()
        await pushing
      }
      assert.deepEqual(texts(near), numbers)
    },
  },
  {
    name: 'work: a push whose confirmation was lost says so',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.queue({ jobs: 1 })
      const { connection } = scene
      await far.push('first') // there is no room for another
      const second = hushed(far.push('second'))
      await pause(10)
      connection.cut()
      const error = await second.then(
        () => 'no error',
        (reason: unknown) => reason as { readonly code: unknown; readonly executed: unknown },
      )
      assert.ok(typeof error === 'object', 'nobody knows whether it is in the queue')
      same(error.code, 'ERR_MILLRACE_PEER_GONE')
      same(error.executed, 'unknown')
      // The other side may learn of the cut only after there is room again: nobody knows of the second one.
      const left = texts(near)
      const third = hushed(far.push('third'))
      await until(() => {
        left.push(...texts(near))
        return left.includes('third')
      }, 'the next push arrives')
      await third
      assert.deepEqual(
        left.filter((one) => one !== 'second'),
        ['first', 'third'],
      )
    },
  },
]
