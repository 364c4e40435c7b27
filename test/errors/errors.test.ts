import test from 'ava'
import { createRequire } from 'node:module'
import * as millrace from 'millrace'
import { MillraceError, SpscQueue } from 'millrace'

import { load } from '#lib/addon/binary.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { openProducer } from '../support/queues.js'

test('an error says what it is, with a stable code', (t) => {
  const error = t.throws(() => SpscQueue.producer(''), { instanceOf: MillraceError })
  t.true(error instanceof Error)
  t.is(error.name, 'MillraceError')
  t.is(error.code, 'ERR_MILLRACE_INVALID_NAME')
  t.is(error.syscall, undefined)
  t.false('errno' in error)
  t.regex(error.stack ?? '', /^MillraceError: .*\n.* at /)
})

test('a failed system call is named, with its number and its object', (t) => {
  const name = uniqueName(t)
  const error = t.throws(() => millrace.SharedMemory.open(name), { instanceOf: MillraceError })
  t.is(error.syscall, 'shm_open')
  t.is(error.errno, 2)
  t.is(error.path, `/dev/shm/${name}`)
})

test('an aborted wait is an AbortError that carries the reason', async (t) => {
  const name = uniqueName(t)
  const reason = { why: 'because' }
  const error = await t.throwsAsync(
    openProducer(t, name).waitForPeer({ signal: AbortSignal.abort(reason) }),
    { instanceOf: MillraceError },
  )
  t.is(error.name, 'AbortError')
  t.is(error.code, 'ERR_MILLRACE_ABORTED')
  t.is(error.cause, reason)
})

test('where there is no millrace, the message says where there is', (t) => {
  const refused = { code: 'ERR_MILLRACE_UNSUPPORTED_PLATFORM', name: 'MillraceError' }
  t.throws(() => load('win32', 'x64', () => t.fail()), {
    ...refused,
    message: /runs on Linux and macOS, not on win32-x64, Node v\d+.*WSL 2/,
  })
  t.throws(() => load('freebsd', 'arm64', () => t.fail()), { ...refused, message: /freebsd-arm64/ })
})

test('where there is no binary, the message says how to get one', (t) => {
  const cause = new Error('No native build was found')
  const error = t.throws(
    () =>
      load('linux', 'riscv64', () => {
        throw cause
      }),
    {
      name: 'MillraceError',
      code: 'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      message:
        /no working binary for linux-riscv64 \((?:glibc|musl)\), Node v\d.*npx millrace build/,
    },
  )
  t.is(error.cause, cause)
})

test('the binary is looked for in the package itself', (t) => {
  const addon = {}
  const roots: string[] = []
  const loaded = load('linux', 'x64', (root) => {
    roots.push(root)
    return addon
  })
  t.is(loaded, addon)
  t.like(createRequire(import.meta.url)(`${roots[0]!}/package.json`), { name: 'millrace' })
})

test('an error thrown by the addon leaves nothing half-made', (t) => {
  const name = uniqueName(t)
  t.throws(() => SpscQueue.producer(name, { mode: 0o777 }))
  t.throws(() => millrace.SharedMemory.create(name, 2 ** 50))
  t.deepEqual(objectsOf(name), [])
})

test('the clock of time stamps never goes back', (t) => {
  let last = millrace.monotonicNow()
  t.is(typeof last, 'bigint')
  for (let i = 0; i < 1000; i++) {
    const now = millrace.monotonicNow()
    t.true(now >= last)
    last = now
  }
})
