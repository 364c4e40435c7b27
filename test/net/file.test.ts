// Logs in files: who appends, who reads from the start, from the end and on; and what a death, a torn tail or a damaged byte leaves.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { connect, listen, type Channel } from 'millrace/net'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const patience = 20_000
const fileHead = 16
const recordHead = 12

function logAt(t: ExecutionContext): { readonly path: string; readonly address: string } {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}.log`)
  t.teardown(() => {
    rmSync(path, { force: true, recursive: true })
  })
  return { path, address: `file://${path}` }
}

async function appended(address: string, ...messages: (string | Uint8Array)[]): Promise<void> {
  const channel = await connect(address)
  for (const message of messages) await channel.send(message)
  await channel.close()
}

/** All that is there. */
async function contentOf(address: string): Promise<string[]> {
  const channel = await connect(`${address}?follow=0`)
  try {
    const found: string[] = []
    for await (const message of channel) found.push(String(message))
    return found
  } finally {
    await channel.close()
  }
}

async function next(channel: Channel): Promise<string> {
  return String(await within(patience, channel.receive()))
}

function other(t: ExecutionContext, program: string, ...args: string[]) {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { connect, listen } = await import('millrace/net')
       const [, ...args] = process.argv
       ${program}`,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exit = once(child, 'exit')
  return {
    child,
    exit,
    heard: async () => (await within(patience, lines.next())).value as string | undefined,
  }
}

test('messages of any length are read from the start, from the end, and by many', async (t) => {
  const { address, path } = logAt(t)
  const lengths = [0, 1, 11, 12, 13, 4096, 65_536, 65_537, 262_132, 262_144, 300_000, 3_000_000, 0]
  const seeded = (length: number): Buffer => Buffer.alloc(length, `${String(length)} and on `)
  const writer = await connect(address)
  t.is(writer.traits.directions, 'send')
  t.is(writer.traits.death, 'none')
  t.is(statSync(path).mode & 0o777, 0o600)
  for (const length of lengths) await writer.send(seeded(length))
  await writer.end()
  const readers = [await connect(`${address}?from=start`), await connect(`${address}?from=start`)]
  const late = await connect(`${address}?from=end`)
  for (const reader of readers) {
    t.is(reader.traits.directions, 'receive')
    for (const length of lengths) {
      t.true((await within(patience, reader.receive()))!.equals(seeded(length)), String(length))
    }
    t.is(reader.tryReceive(), undefined)
  }
  await writer.close()
  await appended(address, 'one more')
  for (const reader of [...readers, late]) {
    t.is(await next(reader), 'one more')
    await reader.close()
  }
})

test('who listens gets one channel that reads what is there and what comes', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'before')
  const listener = await listen(address)
  const far = (await within(patience, listener.accept()))!
  const near = await connect(address)
  await near.send('after')
  t.is(await next(far), 'before')
  t.is(await next(far), 'after')
  await t.throwsAsync(near.receive(), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(far.send('x'), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await near.close()
  await far.close()
  await listener.close()
  t.true(existsSync(path), 'a log outlives those who use it')
})

test('without following, a reader ends where the log does', async (t) => {
  const { address } = logAt(t)
  await appended(address, 'a', 'b')
  t.deepEqual(await contentOf(address), ['a', 'b'])
})

test('a hundred thousand messages of another process come in order, to each who reads', async (t) => {
  const { address } = logAt(t)
  await appended(address)
  const readers = [await connect(`${address}?from=start`), await connect(`${address}?from=end`)]
  const writer = other(
    t,
    `const channel = await connect(args[0])
     for (let i = 0; i < 100_000; i++) await channel.send('m' + i)
     await channel.close()`,
    address,
  )
  await Promise.all(
    readers.map(async (reader) => {
      for (let i = 0; i < 100_000; i++) {
        const message = reader.tryReceive() ?? (await within(patience, reader.receive()))
        if (String(message) !== `m${String(i)}`) t.fail(`${String(message)} at ${String(i)}`)
      }
      await reader.close()
    }),
  )
  t.deepEqual(await within(patience, writer.exit), [0, null])
})

test('a writer that is killed leaves whole messages, and the next one goes on behind them', async (t) => {
  const { address } = logAt(t)
  await appended(address)
  const reader = await connect(`${address}?from=start`)
  const found: string[] = []
  for (let round = 0; round < 5; round++) {
    const writer = other(
      t,
      `const channel = await connect(args[0])
       for (let i = 0; ; i++) await channel.send(args[1] + ' ' + i + ' ' + 'x'.repeat((i * 7919) % 30_000))`,
      address,
      String(round),
    )
    const last = Math.floor(Math.random() * 50)
    for (let i = 0; i <= last; i++) found.push(await next(reader))
    writer.child.kill('SIGKILL')
    await within(patience, writer.exit)
    await appended(address, `end of ${String(round)}`)
    for (;;) {
      const message = await next(reader)
      found.push(message)
      if (message.startsWith('end')) break
    }
  }
  await reader.close()
  let round = 0
  let count = 0
  for (const message of found) {
    if (message === `end of ${String(round)}`) {
      round++
      count = 0
      continue
    }
    const whole = `${String(round)} ${String(count)} ${'x'.repeat((count * 7919) % 30_000)}`
    t.true(message === whole, message.slice(0, 20))
    count++
  }
  t.is(round, 5)
  t.deepEqual(await contentOf(address), found)
})

test('a tail that is torn at any byte is not read, and the next writer cuts it off', async (t) => {
  const { address, path } = logAt(t)
  const messages = ['first', '', 'the third one']
  await appended(address, ...messages)
  const whole = readFileSync(path)
  let end = fileHead
  const ends = messages.map((message) => (end += recordHead + message.length))
  t.is(whole.length, end)
  for (let size = 0; size <= whole.length; size++) {
    writeFileSync(path, whole.subarray(0, size))
    const left = messages.filter((_, i) => ends[i]! <= size)
    t.deepEqual(await contentOf(address), left, String(size))
    await appended(address, 'next')
    t.deepEqual(await contentOf(address), [...left, 'next'], String(size))
  }
})

test('a reader that waits at a torn tail goes on with what the next writer puts there', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'first', 'second')
  truncateSync(path, statSync(path).size - 3)
  const reader = await connect(`${address}?from=start`)
  t.is(await next(reader), 'first')
  const waiting = next(reader)
  await appended(address, 'another one, and longer')
  t.is(await waiting, 'another one, and longer')
  await reader.close()
})

test('zeros at the end, as a machine without power leaves them, are a torn tail as well', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'first')
  appendFileSync(path, Buffer.alloc(5000))
  t.deepEqual(await contentOf(address), ['first'])
  await appended(address, 'second')
  t.deepEqual(await contentOf(address), ['first', 'second'])
})

test('a damaged byte in the middle is told with its place, and nothing is cut off for it', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'first', 'second', 'third')
  const whole = readFileSync(path)
  const second = fileHead + recordHead + 'first'.length
  const end = second + recordHead + 'second'.length
  for (let at = second; at < end; at += 4) {
    const damaged = Buffer.from(whole)
    damaged[at]! ^= 4
    writeFileSync(path, damaged)
    const reader = await connect(`${address}?from=start`)
    t.is(await next(reader), 'first')
    await t.throwsAsync(within(patience, reader.receive()), {
      code: 'ERR_MILLRACE_CORRUPT',
      message: new RegExp(`byte ${String(second)}\\b`),
    })
    await reader.close()
    if (at < second + recordHead) {
      await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_CORRUPT' }, String(at))
    }
    t.deepEqual(readFileSync(path), damaged)
  }
})

test('a log that somebody cuts off under a reader is told', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'first', 'second')
  const reader = await connect(`${address}?from=start`)
  t.is(await next(reader), 'first')
  t.is(await next(reader), 'second')
  truncateSync(path, fileHead)
  await t.throwsAsync(within(patience, reader.receive()), { code: 'ERR_MILLRACE_CORRUPT' })
  await reader.close()
})

test('one appends at a time, until it closes or dies', async (t) => {
  const { address } = logAt(t)
  const writer = other(
    t,
    `const channel = await connect(args[0] + '?durable')
     await channel.send('of the first')
     console.log('there')
     setInterval(() => {}, 1000)`,
    address,
  )
  t.is(await writer.heard(), 'there')
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  writer.child.kill('SIGKILL')
  await within(patience, writer.exit)
  const channel = await connect(address)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  await channel.close()
  await appended(address, 'of another one')
  t.deepEqual(await contentOf(address), ['of the first', 'of another one'])
})

test('with durable, what was sent is in the file when send() resolves', async (t) => {
  const { address, path } = logAt(t)
  const channel = await connect(`${address}?durable`)
  for (const message of ['short', 'x'.repeat(100_000)]) {
    await channel.send(message)
    t.true(readFileSync(path).includes(message))
  }
  await Promise.all(Array.from({ length: 100 }, (_, i) => channel.send(`together ${String(i)}`)))
  t.true(readFileSync(path).includes('together 99'))
  await channel.close()
  t.is((await contentOf(address)).length, 102)
})

test('what is no log, not there, or not ours is left as it is', async (t) => {
  const { address, path } = logAt(t)
  await t.throwsAsync(connect(`${address}?from=start`), { code: 'ERR_MILLRACE_NOT_FOUND' })
  t.false(existsSync(path))
  writeFileSync(path, 'a diary, and no log of messages')
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_NOT_OURS' })
  const reader = await connect(`${address}?from=start`)
  await t.throwsAsync(within(patience, reader.receive()), { code: 'ERR_MILLRACE_NOT_OURS' })
  await reader.close()
  t.is(readFileSync(path, 'utf8'), 'a diary, and no log of messages')
  rmSync(path)
  mkdirSync(path)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_EXISTS', message: /regular/ })
  rmSync(path, { recursive: true })
  execFileSync('mkfifo', [path])
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_EXISTS', message: /regular/ })
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS', message: /regular/ })
})

test('whose file it is counts, and who may write to it', async (t) => {
  const { address, path } = logAt(t)
  await appended(address, 'x')
  const allow = { uids: [process.geteuid!() + 1] }
  await t.throwsAsync(connect(address, { allow }), { code: 'ERR_MILLRACE_PERMISSION' })
  await t.throwsAsync(listen(address, { allow }), { code: 'ERR_MILLRACE_PERMISSION' })
  chmodSync(path, 0o666)
  await t.throwsAsync(connect(`${address}?from=start`), { code: 'ERR_MILLRACE_PERMISSION' })
})

test('addresses that say what cannot be are refused', async (t) => {
  for (const wrong of [
    'file://relative',
    'file:///',
    'file:///x/',
    'file:///x?from=middle',
    'file:///x?follow=perhaps',
    'file:///x?since=1',
    'file:///x?from=start&durable',
  ]) {
    await t.throwsAsync(connect(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }, wrong)
  }
  await t.throwsAsync(listen('file:///x?durable'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  for (const oneWay of ['file:///x', 'pipe:///x']) {
    t.throws(() => WorkQueue.open(oneWay), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /one way/,
    })
  }
})

test('a message that is longer than the reader takes ends its channel', async (t) => {
  const { address } = logAt(t)
  await appended(address, 'x', 'x'.repeat(1001))
  const reader = await connect(`${address}?from=start`, { maxBytes: 1000 })
  t.is(await next(reader), 'x')
  await t.throwsAsync(within(patience, reader.receive()), { code: 'ERR_MILLRACE_PROTOCOL' })
  await reader.close()
})

test('a reader that waits keeps its process alive unless unref() was called', async (t) => {
  const { address } = logAt(t)
  await appended(address, 'x')
  const idle = other(
    t,
    `const reader = await connect(args[0] + '?from=start')
     console.log(String(await reader.receive()))
     reader.unref()`,
    address,
  )
  t.is(await idle.heard(), 'x')
  t.deepEqual(await within(patience, idle.exit), [0, null])
})

test('with timers and clocks that a test has put in the place of the real ones', async (t) => {
  const { address } = logAt(t)
  const program = other(
    t,
    `const { mock } = await import('node:test')
     mock.timers.enable()
     const writer = await connect(args[0])
     const reader = await connect(args[0] + '?from=start')
     const received = reader.receive()
     await writer.send('x')
     console.log(String(await received))
     await writer.close()
     await reader.close()
     console.log('closed')`,
    address,
  )
  t.is(await program.heard(), 'x')
  t.is(await program.heard(), 'closed')
  t.deepEqual(await within(patience, program.exit), [0, null])
})
