// pipeline() through gzip between two processes, to the end or not: an abort in the middle, an error of either side, a process that is
// killed. Each end is told as Node tells it of streams of its own, and nothing is left.
//
// As much as STREAM_BYTES says is sent to the end (npm run soak sends more in other ways); a tenth of it where it does not come so far.

import test, { type ExecutionContext } from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const total = Number(process.env['STREAM_BYTES'] ?? 32 * 1024 * 1024)
const patience = 20_000 + total / 10_000 // 10 MB a second are slow

/** How a side's pipeline ended. */
interface Outcome {
  /** `done`, or the name or code of the error. */
  readonly end: string
  readonly message: string
  /** Of what was sent, or what came. */
  readonly digest: string
  readonly bytes: number
  /** Are all its streams destroyed, and is its side of the queue closed? */
  readonly over: boolean
  /** When it ended, in milliseconds of a clock that all processes share. */
  readonly at: number
}

/** What is sent: text that gzip makes about half of, different everywhere. */
function startSending(side: Actor, name: string, bytes: number): void {
  side.start(
    ({ SpscQueue, toWritable, own }, queue, size) => {
      const { Readable } = process.getBuiltinModule('node:stream')
      const { pipeline } = process.getBuiltinModule('node:stream/promises')
      const zlib = process.getBuiltinModule('node:zlib')
      const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
      let sent = 0
      let state = 1
      const chunk = Buffer.alloc(65_536)
      const source = new Readable({
        read() {
          if (sent >= size) {
            this.push(null)
            return
          }
          for (let i = 0; i < chunk.length; i += 64) {
            state = (Math.imul(state, 1664525) + 1013904223) | 0
            chunk.writeInt32LE(state, i)
          }
          const some = Buffer.from(chunk.subarray(0, size - sent))
          sent += some.length
          hash.update(some)
          this.push(some)
        },
      })
      const producer = (own.producer = SpscQueue.producer(queue))
      const gzip = zlib.createGzip({ level: 1 })
      const sink = toWritable(producer)
      const abort = (own['abort'] = new AbortController())
      own['streams'] = [source, gzip, sink]
      own['digest'] = () => hash.digest('hex')
      own['bytes'] = () => sent
      own.pending = pipeline(source, gzip, sink, { signal: abort.signal }).then(
        () => ({ end: 'done', message: '', at: performance.timeOrigin + performance.now() }),
        (error: unknown) => {
          const { name, message, code } = error as Error & { code?: string }
          const end = name === 'AbortError' ? name : (code ?? name)
          return { end, message, at: performance.timeOrigin + performance.now() }
        },
      )
    },
    name,
    bytes,
  )
}

function startReceiving(side: Actor, name: string): void {
  side.start(({ SpscQueue, toReadable, own }, queue) => {
    const { Writable } = process.getBuiltinModule('node:stream')
    const { pipeline } = process.getBuiltinModule('node:stream/promises')
    const zlib = process.getBuiltinModule('node:zlib')
    const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
    let received = 0
    const sink = new Writable({
      write(some: Buffer, _encoding, callback) {
        received += some.length
        hash.update(some)
        callback()
      },
    })
    const consumer = (own.consumer = SpscQueue.consumer(queue))
    const gunzip = zlib.createGunzip()
    const source = toReadable(consumer)
    const abort = (own['abort'] = new AbortController())
    own['streams'] = [sink, gunzip, source]
    own['digest'] = () => hash.digest('hex')
    own['bytes'] = () => received
    own.pending = pipeline(source, gunzip, sink, { signal: abort.signal }).then(
      () => ({ end: 'done', message: '', at: performance.timeOrigin + performance.now() }),
      (error: unknown) => {
        const { name, message, code } = error as Error & { code?: string }
        const end = name === 'AbortError' ? name : (code ?? name)
        return { end, message, at: performance.timeOrigin + performance.now() }
      },
    )
  }, name)
}

async function outcomeOf(side: Actor): Promise<Outcome> {
  return (await within(
    patience,
    side.do(async ({ own }) => {
      const outcome = (await own.pending) as object
      const streams = own['streams'] as { destroyed: boolean }[]
      // 'close' comes a turn after the end.
      for (let i = 0; i < 1000 && !streams.every(({ destroyed }) => destroyed); i++) {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      const side = (own as { producer?: { closed: boolean } }).producer ?? own.consumer
      return {
        ...outcome,
        digest: (own['digest'] as () => string)(),
        bytes: (own['bytes'] as () => number)(),
        over: side.closed && streams.every(({ destroyed }) => destroyed),
      }
    }),
  )) as Outcome
}

const receivedBy = (side: Actor) => side.do(({ own }) => (own['bytes'] as () => number)())

interface Company {
  readonly name: string
  readonly sender: Actor
  readonly receiver: Actor
}

function start(t: ExecutionContext, bytes: number): Company {
  const name = uniqueName(t)
  const [sender, receiver] = [actor(t), actor(t)]
  startReceiving(receiver, name)
  startSending(sender, name, bytes)
  return { name, sender, receiver }
}

/** Both are in the middle of it. */
async function startToTheMiddle(t: ExecutionContext): Promise<Company> {
  const company = start(t, 2 ** 50)
  await until(async () => (await receivedBy(company.receiver)) > total / 10, patience)
  return company
}

/** Nothing but its own handles keeps a process alive: it ends when there are none. */
async function leaves(t: ExecutionContext, { name }: Company, ...sides: Actor[]): Promise<void> {
  for (const side of sides) t.is((await within(patience, side.leave())).code, 0)
  // What was sent and not read waits for the next consumer, which drops it.
  const { SpscQueue } = await import('millrace')
  SpscQueue.consumer(name, { fresh: true }).close()
  t.deepEqual(objectsOf(name), [])
}

test.serial('all of it arrives, and both ends know', async (t) => {
  const company = start(t, total)
  const began = performance.timeOrigin + performance.now()
  const sent = await outcomeOf(company.sender)
  const received = await outcomeOf(company.receiver)
  t.deepEqual([sent.end, received.end], ['done', 'done'], sent.message + received.message)
  t.is(received.bytes, total)
  t.is(received.digest, sent.digest)
  t.true(sent.over && received.over)
  t.log(`${total} bytes in ${((received.at - began) / 1000).toFixed(2)} s`)
  await leaves(t, company, company.sender, company.receiver)
})

test.serial('an abort of the sender: AbortError there, PEER_FAILED at the other end', async (t) => {
  const company = await startToTheMiddle(t)
  await company.sender.do(({ own }) => {
    ;(own['abort'] as AbortController).abort()
  })
  const [sent, received] = [await outcomeOf(company.sender), await outcomeOf(company.receiver)]
  t.is(sent.end, 'AbortError')
  t.is(received.end, 'ERR_MILLRACE_PEER_FAILED', received.message)
  t.true(sent.over && received.over)
  await leaves(t, company, company.sender, company.receiver)
})

test.serial('an abort of the receiver: AbortError there, CLOSED at the other end', async (t) => {
  const company = await startToTheMiddle(t)
  await company.receiver.do(({ own }) => {
    ;(own['abort'] as AbortController).abort()
  })
  const [received, sent] = [await outcomeOf(company.receiver), await outcomeOf(company.sender)]
  t.is(received.end, 'AbortError')
  t.is(sent.end, 'ERR_MILLRACE_CLOSED', sent.message)
  t.true(sent.over && received.over)
  await leaves(t, company, company.sender, company.receiver)
})

for (const which of ['source', 'gzip'] as const) {
  test.serial(`an error of the sender's ${which} is told at both ends`, async (t) => {
    const company = await startToTheMiddle(t)
    await company.sender.do(
      ({ own }, index) => {
        ;(own['streams'] as { destroy(error: Error): void }[])[index]!.destroy(
          new Error('the disk is full'),
        )
      },
      which === 'source' ? 0 : 1,
    )
    const [sent, received] = [await outcomeOf(company.sender), await outcomeOf(company.receiver)]
    t.is(sent.message, 'the disk is full')
    t.is(received.end, 'ERR_MILLRACE_PEER_FAILED')
    t.regex(received.message, /the disk is full/)
    t.true(sent.over && received.over)
    await leaves(t, company, company.sender, company.receiver)
  })
}

for (const which of ['sink', 'gunzip'] as const) {
  test.serial(`an error of the receiver's ${which} is told at both ends`, async (t) => {
    const company = await startToTheMiddle(t)
    await company.receiver.do(
      ({ own }, index) => {
        ;(own['streams'] as { destroy(error: Error): void }[])[index]!.destroy(
          new Error('no space left'),
        )
      },
      which === 'sink' ? 0 : 1,
    )
    const [received, sent] = [await outcomeOf(company.receiver), await outcomeOf(company.sender)]
    t.is(received.message, 'no space left')
    t.is(sent.end, 'ERR_MILLRACE_PEER_FAILED')
    t.regex(sent.message, /no space left/)
    t.true(sent.over && received.over)
    await leaves(t, company, company.sender, company.receiver)
  })
}

for (const killed of ['sender', 'receiver'] as const) {
  test.serial(`a ${killed} that is killed: PEER_GONE at the other end, soon`, async (t) => {
    const company = await startToTheMiddle(t)
    const survivor = killed === 'sender' ? company.receiver : company.sender
    const at = performance.timeOrigin + performance.now()
    await company[killed].kill()
    const outcome = await outcomeOf(survivor)
    t.is(outcome.end, 'ERR_MILLRACE_PEER_GONE', outcome.message)
    t.true(outcome.over)
    t.true(outcome.at - at < 2000, `${outcome.at - at} ms`)
    await leaves(t, company, survivor)
  })
}

test.serial('what was cut short by gzip itself is an error of its reader', async (t) => {
  // A sender that closes in good order in the middle of a member: only the content can tell, and does.
  const name = uniqueName(t)
  const [sender, receiver] = [actor(t), actor(t)]
  startReceiving(receiver, name)
  await sender.do(async ({ SpscQueue }, queue) => {
    const zlib = process.getBuiltinModule('node:zlib')
    const packed = zlib.gzipSync(Buffer.alloc(1000, 'x'))
    const producer = SpscQueue.producer(queue)
    await producer.push(packed.subarray(0, packed.length - 4))
    await producer.end()
  }, name)
  const received = await outcomeOf(receiver)
  t.is(received.end, 'Z_BUF_ERROR')
  t.true(received.over)
  await leaves(t, { name, sender, receiver }, sender, receiver)
})
