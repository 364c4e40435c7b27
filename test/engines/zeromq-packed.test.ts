// Many jobs in one message of ZeroMQ, where the address of who pushes says `packed`.

import test, { type ExecutionContext } from 'ava'
import { connect } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run } from '../support/process.js'
import { until } from '../support/until.js'
import { calc } from './support/drills/calc.js'
import { foreign, python, tcpAddress } from './support/zeromq.js'

const patience = { timeout: 40_000 }
const mostJobs = 64
const mostBytes = 262_144

function open(t: ExecutionContext, address: string, options?: WorkQueueOptions): WorkQueue {
  const queue = WorkQueue.open(address, options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

async function taken(queue: WorkQueue, count: number): Promise<Job[]> {
  const jobs: Job[] = []
  while (jobs.length < count) jobs.push(...(await queue.takeBatch(count - jobs.length, patience)))
  return jobs
}

interface Beside {
  readonly packed: number
  readonly expires: number
  readonly jobs: readonly {
    readonly length: number
    readonly id?: string
    readonly group?: string
  }[]
}

/** The jobs of a message, as a program without this package reads them. */
function read([body, more]: readonly Buffer[]): {
  readonly texts: string[]
  readonly beside: Beside | undefined
} {
  const beside = more === undefined ? undefined : (JSON.parse(more.toString()) as Beside)
  if (beside === undefined) return { texts: [body!.toString()], beside }
  let at = 0
  const texts = beside.jobs.map(({ length }) => body!.toString('utf8', at, (at += length)))
  return { texts, beside }
}

test('what is pushed in one turn goes together, in its order, with what each job says of itself', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?bind&packed'))
  const taking = open(t, address.at('?packed'))
  const count = 300
  const pushed = Array.from({ length: count }, (_, at) =>
    pushing.push(`job ${String(at)}`, {
      ...(at % 2 === 0 ? { id: `id "${String(at)}" ü` } : {}),
      ...(at % 3 === 0 ? { group: 'g' } : {}),
      ...(at % 5 === 0 ? { ttl: 600_000 } : {}),
      ...patience,
    }),
  )
  const jobs = await taken(taking, count)
  t.deepEqual(
    jobs.map((job) => [textOf(job), job.id, job.group, job.attempt]),
    Array.from({ length: count }, (_, at) => [
      `job ${String(at)}`,
      at % 2 === 0 ? `id "${String(at)}" ü` : undefined,
      at % 3 === 0 ? 'g' : undefined,
      1,
    ]),
  )
  t.deepEqual(await Promise.all(pushed), Array(count).fill({ duplicate: false }))
})

test('who does not say it takes them as well, and bytes are memory of their own', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?packed'))
  const taking = open(t, address.at('?bind'))
  const pushed = ['a', 'b', 'c', ''].map((text) => pushing.push(text, patience))
  const jobs = await taken(taking, 4)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c', ''])
  for (const job of jobs) t.is(job.bytes.buffer.byteLength, job.length)
  await Promise.all(pushed)
  // One after the other: what came with the first is there for those who ask next, and what goes back is, too.
  const more = ['d', 'e', 'f'].map((text) => pushing.push(text, patience))
  const first = await taking.takeOne(patience)
  await first.release()
  t.deepEqual((await taken(taking, 3)).map(textOf).toSorted(), ['d', 'e', 'f'])
  await Promise.all(more)
})

test('messages are bounded in jobs and in bytes, and are as the page says', async (t) => {
  const address = await tcpAddress()
  const pull = foreign(t, 'Pull', { receiveTimeout: 40_000 })
  await pull.bind(address.endpoint)
  const pushing = open(t, address.at('?packed'))
  const texts = Array.from({ length: 200 }, (_, at) => `small ${String(at)}`)
  const large = Array.from({ length: 7 }, (_, at) => String(at).repeat(100_000))
  const all = [...texts, ...large, 'x'.repeat(mostBytes + 1), 'last']
  const pushed = all.map((text) => pushing.push(text, { id: text.slice(0, 20), ...patience }))
  const found: string[] = []
  let messages = 0
  while (found.length < all.length) {
    const frames = await pull.receive()
    messages++
    if (frames[1]?.toString().startsWith('{"id"') === true) {
      found.push(frames[0]!.toString()) // one that goes alone is as everybody's jobs are
      continue
    }
    const { texts: some, beside } = read(frames)
    t.deepEqual([beside?.packed, beside?.expires], [1, 0])
    t.true(some.length > 1 && some.length <= mostJobs && frames[0]!.length <= mostBytes)
    t.deepEqual(
      beside?.jobs.map(({ id }) => id),
      some.map((text) => text.slice(0, 20)),
    )
    found.push(...some)
  }
  t.true(found.every((text, at) => text === all[at]))
  t.true(messages < 20, String(messages))
  await Promise.all(pushed)
})

test('what is no packed message is handed to nobody, and what is goes on', async (t) => {
  const address = await tcpAddress()
  const push = foreign(t, 'Push')
  push.connect(address.endpoint)
  const taking = open(t, address.at('?bind'))
  const told: Error[] = []
  const onWarning = (warning: Error) => {
    if (warning.message.includes(address.endpoint)) told.push(warning)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const bad: readonly object[] = [
    { packed: 1, jobs: [{ length: 3 }, { length: 4 }] }, // cut in the middle
    { packed: 1, jobs: [{ length: 3 }] }, // more than there are jobs for
    { packed: 1, jobs: [{ length: -1 }, { length: 7 }] },
    { packed: 1, jobs: [{ length: 1.5 }, { length: 4.5 }] },
    { packed: 1, jobs: [{ length: '6' }] },
    { packed: 1, jobs: [null, { length: 6 }] },
    { packed: 1, jobs: [{}] },
    { packed: 1, jobs: { length: 6 } },
    { packed: 1 },
    { packed: 2, jobs: [{ length: 6 }] },
    { packed: 'yes', jobs: [{ length: 6 }] },
  ]
  for (const beside of bad) await push.send(['abcdef', JSON.stringify(beside)])
  const good = {
    packed: 1,
    jobs: [{ length: 2, id: 7, headers: { a: 1 } }, { length: 0 }, { length: 4, id: 'theirs' }],
    headers: [],
  }
  await push.send(['abcdef', JSON.stringify(good)])
  const late = { packed: 1, jobs: [{ length: 1, expires: 1 }, { length: 1 }] }
  await push.send(['ab', JSON.stringify(late)])
  t.deepEqual(
    (await taken(taking, 4)).map((job) => [textOf(job), job.id]),
    [
      ['ab', undefined],
      ['', undefined],
      ['cdef', 'theirs'],
      ['b', undefined],
    ],
  )
  await until(() => told.length > 0)
  t.is(told.length, 1)
  t.regex(told[0]!.message, /packed in one message are not all there/)
})

test("Python's PULL reads what is packed, and its PUSH packs", async (t) => {
  const [there, back] = [await tcpAddress(), await tcpAddress()]
  python(
    t,
    `
import json
pull = context.socket(zmq.PULL); pull.connect(args[0])
push = context.socket(zmq.PUSH); push.connect(args[1])
while True:
    body, beside = pull.recv_multipart()
    said = json.loads(beside)
    jobs, at = [], 0
    for job in said['jobs']:
        jobs.append(b'done ' + body[at:at + job['length']])
        at += job['length']
    lengths = [{'length': len(job), 'id': 'of Python'} for job in jobs]
    push.send_multipart([b''.join(jobs), json.dumps({'packed': 1, 'expires': 0, 'jobs': lengths}).encode()])
`,
    [there.endpoint, back.endpoint],
  )
  const pushing = open(t, there.at('?bind&packed'))
  const taking = open(t, back.at('?bind'))
  const pushed = ['a', 'b', 'c'].map((text) => pushing.push(text, patience))
  const jobs = await taken(taking, 3)
  t.deepEqual(
    jobs.map((job) => [textOf(job), job.id]),
    [
      ['done a', 'of Python'],
      ['done b', 'of Python'],
      ['done c', 'of Python'],
    ],
  )
  await Promise.all(pushed)
})

test('what was given up before it went does not go with the others', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?bind&packed'))
  const gone = ['x', 'y'].map((text) => pushing.push(text, { timeout: 50 }))
  const control = new AbortController()
  const kept = ['a', 'b'].map((text) => pushing.push(text, patience))
  const aborted = pushing.push('z', { signal: control.signal })
  for (const push of gone) await t.throwsAsync(push, { code: 'ERR_MILLRACE_TIMEOUT' })
  control.abort()
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  // What the library is being given when it is given up may go for another 50 ms: that is over when this one is.
  await t.throwsAsync(pushing.push('later', { timeout: 500 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const taking = open(t, address.at())
  const pushed = [...kept, pushing.push('last', patience)]
  const texts: string[] = []
  while (!texts.includes('last')) texts.push(textOf(await taking.takeOne(patience)))
  t.deepEqual(
    texts.filter((text) => text !== 'later'),
    ['a', 'b', 'last'],
  )
  await Promise.all(pushed)
})

test('a push waits while the other side takes nothing, closing ends it, and jobs count as jobs', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?bind&packed'), { jobs: 2 })
  const slow = foreign(t, 'Pull', { receiveHighWaterMark: 1 })
  slow.connect(address.endpoint)
  const big = Buffer.alloc(200_000, 'x')
  let pushed = 0
  await t.throwsAsync(
    async () => {
      for (; pushed < 1000; pushed++) await pushing.push(big, { timeout: 500 })
    },
    { code: 'ERR_MILLRACE_TIMEOUT' },
  )
  t.true(pushed < 250, String(pushed))
  const waiting = Array.from({ length: 5 }, () => pushing.push(big))
  const tooMany = Array.from({ length: 16_400 }, () => pushing.push('x', patience))
  await t.throwsAsync(Promise.all(tooMany), { code: 'ERR_MILLRACE_BUSY' })
  pushing.close()
  const ends = await Promise.allSettled([...waiting, ...tooMany])
  t.true(ends.every(({ status }) => status === 'rejected'))
})

test('one that is too long is refused alone', async (t) => {
  const address = await tcpAddress()
  const connection = { maxBytes: 1000 }
  const pushing = open(t, address.at('?bind&packed'), { connection })
  const taking = open(t, address.at('?packed'), { connection })
  const pushes = ['a', 'x'.repeat(1001), 'y'.repeat(600), 'z'.repeat(600)].map((text) =>
    pushing.push(text, patience),
  )
  await t.throwsAsync(pushes[1]!, { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.deepEqual(
    (await taken(taking, 3)).map(({ length }) => length),
    [1, 600, 600],
  )
})

test('who is killed while it pushes leaves whole messages, in their order', async (t) => {
  const fixture = new URL('./fixtures/zeromq-packs.js', import.meta.url)
  for (let round = 1; round <= 3; round++) {
    const address = await tcpAddress()
    const taking = open(t, address.at('?bind&packed'))
    const pushing = run(t, fixture, [address.at('?packed')])
    let next = 0
    const order = async (job: Job): Promise<void> => {
      t.is(textOf(job), String(next++))
      await job.complete()
    }
    while (next < 700 * round) await order(await taking.takeOne(patience))
    await pushing.kill()
    // What has come over before.
    for (let isMore = true; isMore;) {
      const rest = await taking.takeBatch(64, { timeout: 1000 }).catch(() => [])
      for (const job of rest) await order(job)
      isMore = rest.length > 0
    }
    taking.close()
  }
})

test('topics and calls are not packed', async (t) => {
  t.throws(() => Topics.open('zmq+tcp://127.0.0.1:5555?packed'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /'packed'/,
  })
  await t.throwsAsync(connect('zmq+tcp://127.0.0.1:5555/calc?packed', calc), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /'packed'/,
  })
})
