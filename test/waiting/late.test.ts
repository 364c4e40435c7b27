// The errors of all waits that were too long: what was waited for, how long, who has not done it, and what to do.
// (That of `receiveSegments` is in test/place/hand-over.test.ts, with its server.)

import test, { type ExecutionContext } from 'ava'
import { Cell, FrameReader, FrameWriter } from 'millrace'
import { Barrier, Semaphore, SharedEvent } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { openMutex, openRwLock } from '../support/locks.js'
import { uniqueName } from '../support/names.js'
import { onePage, openConsumer, openProducer } from '../support/queues.js'
import { occupy } from '../upgrades/segments.js'

const late = { timeout: 10 }
const me = process.pid
/** For `occupy`: its byte is the one before those of the roles. */
const lifecycleLock = -1
const mutexPath = (name: string) => `/dev/shm/millrace.x.${name}`

interface Late {
  readonly title: string
  /** A wait in vain; what it leaves open is closed by `t`. */
  readonly wait: (t: ExecutionContext, name: string) => unknown
  /** What its error says behind the time; `NAME` is the name. */
  readonly what: string
  readonly advice: string
}

function closeWith<T extends { close(): void }>(t: ExecutionContext, handle: T): T {
  t.teardown(() => {
    handle.close()
  })
  return handle
}

function fullProducer(t: ExecutionContext, name: string) {
  const producer = openProducer(t, name, { capacity: onePage })
  while (producer.tryPush('x'.repeat(56)));
  return producer
}

const waits: readonly Late[] = [
  {
    title: 'pop with a producer',
    wait: (t, name) => (openProducer(t, name), openConsumer(t, name).pop(late)),
    what: "a message in queue 'NAME'",
    advice: `its producer (process ${me}) sent none: find out why, or allow more time`,
  },
  {
    title: 'popSync with a producer',
    wait: (t, name) => (openProducer(t, name), openConsumer(t, name).popSync(late)),
    what: "a message in queue 'NAME'",
    advice: `its producer (process ${me}) sent none: find out why, or allow more time`,
  },
  {
    title: 'take without a producer',
    wait: (t, name) => openConsumer(t, name).take(late),
    what: "a message in queue 'NAME'",
    advice: 'it had no producer: start one, or allow more time',
  },
  {
    title: 'push with a consumer',
    wait: (t, name) => (openConsumer(t, name), fullProducer(t, name).push('x', late)),
    what: "room in queue 'NAME'",
    advice: `its consumer (process ${me}) read too little of what is in it: find out why, or allow more time`,
  },
  {
    title: 'pushSync without a consumer',
    wait: (t, name) => fullProducer(t, name).pushSync('x', late),
    what: "room in queue 'NAME'",
    advice: 'it had no consumer: start one, or allow more time',
  },
  {
    title: 'pushBatch',
    wait: (t, name) => fullProducer(t, name).pushBatch(['x', 'y'], late),
    what: "room in queue 'NAME'",
    advice: 'it had no consumer: start one, or allow more time',
  },
  {
    title: 'reserveWhenFree',
    wait: (t, name) => fullProducer(t, name).reserveWhenFree(1, late),
    what: "room in queue 'NAME'",
    advice: 'it had no consumer: start one, or allow more time',
  },
  {
    title: 'end',
    wait: (t, name) => (openConsumer(t, name), fullProducer(t, name).end(late)),
    what: "the consumer of queue 'NAME' reading everything",
    advice: `its consumer (process ${me}) has read too little: find out why, or allow more time`,
  },
  {
    title: 'waitForPeer of a queue',
    wait: (t, name) => openConsumer(t, name).waitForPeer(late),
    what: "a peer on queue 'NAME'",
    advice: 'start one, or allow more time',
  },
  {
    title: 'receive',
    wait: async (t, name) => {
      closeWith(t, FrameWriter.create(name, { slotBytes: 64 }))
      return closeWith(t, await FrameReader.open(name)).receive(late)
    },
    what: "a frame of 'NAME'",
    advice: `its writer (process ${me}) published none: find out why, or allow more time`,
  },
  {
    title: 'loan',
    wait: async (t, name) => {
      const writer = closeWith(t, FrameWriter.create(name, { slotBytes: 64, slots: 2 }))
      const loans = [writer.tryLoan(), writer.tryLoan()]
      try {
        return await writer.loan(late)
      } finally {
        for (const loan of loans) loan?.discard()
      }
    },
    what: "a free slot of 'NAME'",
    advice:
      'all of its 2 slots are on loan from this writer, neither published nor discarded: publish each loan, or give it ' +
      'back (`using frame = await writer.loan()` does that when the code throws)',
  },
  {
    title: 'waitForReaders',
    wait: (t, name) =>
      closeWith(t, FrameWriter.create(name, { slotBytes: 64 })).waitForReaders(2, late),
    what: "2 readers on 'NAME'",
    advice: 'there are 0: start the others, or allow more time',
  },
  {
    title: 'waitForPeer of a frame reader',
    wait: async (t, name) => {
      const writer = FrameWriter.create(name, { slotBytes: 64 })
      const reader = closeWith(t, await FrameReader.open(name))
      writer.close()
      return reader.waitForPeer(late)
    },
    what: "a writer of frame channel 'NAME'",
    advice: 'start one, or allow more time',
  },
  {
    title: 'changed',
    wait: async (t, name) => {
      closeWith(t, Cell.writer(name, { maxBytes: 8 }))
      return closeWith(t, await Cell.reader(name)).changed(late)
    },
    what: "a new value in cell 'NAME'",
    advice: `its writer (process ${me}) wrote none: find out why, or allow more time`,
  },
  {
    title: 'waitForPeer of a cell',
    wait: async (t, name) => {
      const writer = Cell.writer(name, { maxBytes: 8 })
      const reader = closeWith(t, await Cell.reader(name))
      writer.close()
      return reader.waitForPeer(late)
    },
    what: "a writer of cell 'NAME'",
    advice: 'start one, or allow more time',
  },
  {
    title: 'lock that another handle of this process has',
    wait: (t, name) => (openMutex(t, name).tryLock(), openMutex(t, name).lock(late)),
    what: "taking mutex 'NAME'",
    advice: `process ${me} (this one) had it: see what takes so long there (a guard that is not released?), or allow more time`,
  },
  {
    title: 'lock that a task has by the same handle',
    wait: (t, name) => {
      const mutex = openMutex(t, name)
      mutex.tryLock()
      return mutex.lock(late)
    },
    what: "taking mutex 'NAME'",
    advice: 'a task of this process had it by this handle: release the guard, or allow more time',
  },
  {
    title: 'writeLock where others read',
    wait: (t, name) => {
      for (let i = 0; i < 6; i++) openRwLock(t, name).tryReadLock()
      return openRwLock(t, name).writeLock(late)
    },
    what: "taking rwlock 'NAME'",
    advice:
      `processes ${[me, me, me, me].map((pid) => `${pid} (this one)`).join(', ')} and 2 more had it for reading (6 readers): ` +
      'see what takes so long there (a guard that is not released?), or allow more time',
  },
  {
    title: 'writeLock where tasks read by the same handle',
    wait: (t, name) => {
      const lock = openRwLock(t, name)
      lock.tryReadLock()
      lock.tryReadLock()
      return lock.writeLock(late)
    },
    what: "taking rwlock 'NAME'",
    advice: '2 tasks of this process had it by this handle: release the guard, or allow more time',
  },
  {
    title: 'readLock behind a writer that waits',
    wait: async (t, name) => {
      const [reader, writer] = [openRwLock(t, name), openRwLock(t, name)]
      const guard = reader.tryReadLock()!
      const writing = writer.writeLock()
      try {
        await openRwLock(t, name).readLock(late)
      } finally {
        guard.release()
        ;(await writing).release()
      }
    },
    what: "taking rwlock 'NAME'",
    advice:
      `process ${me} (this one) had it for reading (1 reader), and a writer waits for it: ` +
      'see what takes so long there (a guard that is not released?), or allow more time',
  },
  {
    title: 'wait of a semaphore',
    wait: (t, name) => {
      const semaphore = closeWith(t, Semaphore.create(name, 0))
      t.teardown(() => Semaphore.unlink(name))
      return semaphore.wait(late)
    },
    what: "a permit of semaphore 'NAME'",
    advice:
      'whoever died with a permit gave none back: post() in its place, release sooner, or allow more time',
  },
  {
    title: 'acquireSync of a semaphore whose permits this object holds',
    wait: (t, name) => {
      const semaphore = closeWith(t, Semaphore.create(name, 1))
      t.teardown(() => Semaphore.unlink(name))
      using _ = semaphore.tryAcquire()!
      return semaphore.acquireSync(late)
    },
    what: "a permit of semaphore 'NAME'",
    advice:
      'this object holds 1 itself; whoever died with a permit gave none back: post() in its place, release sooner, or ' +
      'allow more time',
  },
  {
    title: 'wait of an event that nobody else has',
    wait: (t, name) => closeWith(t, SharedEvent.open(name)).wait(late),
    what: "a signal of event 'NAME'",
    advice: 'nobody else has it open: start who is to set it, or allow more time',
  },
  {
    title: 'waitSync of an event that others have',
    wait: (t, name) => {
      closeWith(t, SharedEvent.open(name))
      closeWith(t, SharedEvent.open(name)).waitSync(late)
    },
    what: "a signal of event 'NAME'",
    advice: `process ${me} (this one) had it open and did not set it: see what takes so long there, or allow more time`,
  },
  {
    title: 'wait of a barrier',
    wait: async (t, name) => {
      const [a, b] = [0, 1, 2].map(() => closeWith(t, Barrier.open(name, { parties: 4 })))
      const stop = new AbortController()
      const first = a!.wait({ signal: stop.signal })
      try {
        await b!.wait(late)
      } finally {
        stop.abort()
        await t.throwsAsync(first, { code: 'ERR_MILLRACE_ABORTED' })
      }
    },
    what: "the arrival of all 4 parties at barrier 'NAME'",
    advice:
      `this one had arrived, and 1 more; process ${me} (this one) had it open and had not; 1 had not opened it yet: ` +
      'start who is missing, or allow more time',
  },
]

for (const { title, wait, what, advice } of waits) {
  test(`a wait that is too long says of what, and of whom: ${title}`, async (t) => {
    const name = uniqueName(t)
    // eslint-disable-next-line @typescript-eslint/require-await -- some throw, others reject
    const error = await t.throwsAsync(async () => wait(t, name), { code: 'ERR_MILLRACE_TIMEOUT' })
    const expected = `${what} did not happen within ${late.timeout} ms; ${advice}`
    t.is(error.message, expected.replaceAll('NAME', name))
  })
}

test('the holder of a lock, in another process, is named by its pid', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ Mutex, RwLock, own }, lock) => {
    own.mutex = Mutex.open(lock)
    own.mutex.tryLock()
    own.lock = RwLock.open(lock)
    own.lock.tryWriteLock()
  }, name)
  const advice = `process ${other.pid} had it: see what takes so long there (a guard that is not released?), or allow more time`
  for (const call of [
    () => openMutex(t, name).lock(late),
    () => openMutex(t, name).lockSync(late),
    () => openRwLock(t, name).readLock(late),
    () => openRwLock(t, name).writeLockSync(late),
  ]) {
    const error = await t.throwsAsync(async () => call(), { code: 'ERR_MILLRACE_TIMEOUT' })
    t.true(error.message.endsWith(`did not happen within 10 ms; ${advice}`), error.message)
  }
  await other.do(({ own }) => {
    own.mutex.close()
    own.lock.close()
  })
})

test('a holder that has died, and that nobody could bury in that time, is said to have died', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ Mutex, own }, lock) => {
    own.mutex = Mutex.open(lock)
    own.mutex.tryLock()
  }, name)
  const mutex = openMutex(t, name)
  // As somebody who is stopped in the middle of opening it.
  const goOn = await occupy(t, mutexPath(name), lifecycleLock)
  await other.kill()
  const died = new RegExp(`within 50 ms; process ${other.pid} \\(died\\) had it: `)
  await t.throwsAsync(mutex.lock({ timeout: 50 }), { code: 'ERR_MILLRACE_TIMEOUT', message: died })
  await goOn()
  const guard = await mutex.lock()
  t.true(guard.abandoned)
  guard.release()
})
