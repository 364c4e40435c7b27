// Tracing where something is not as usual: without its package, with clocks of a test's, while the process ends.

import { channel } from 'node:diagnostics_channel'
import { Module } from 'node:module'
import test, { type ExecutionContext } from 'ava'
import { traceWith } from 'millrace/telemetry'
import { uniqueName } from '../support/names.js'
import { start } from '../support/process.js'
import { open } from '../work/open.js'

// What is taken away is so for the whole process.
const it = test.serial

/** What the package is when it is asked for, until the test is over. */
function apiIs(t: ExecutionContext, load: () => unknown): () => void {
  const loader = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const original = loader._load
  const restore = (): void => {
    loader._load = original
  }
  t.teardown(restore)
  loader._load = (name, ...rest) =>
    name === '@opentelemetry/api' ? load() : original(name, ...rest)
  return restore
}

const isWatched = () => channel('tracing:millrace:send:start').hasSubscribers

it('without its package it says what to install, traces nothing, and works when it is there', async (t) => {
  const restore = apiIs(t, () => {
    throw Object.assign(new Error('not there'), { code: 'MODULE_NOT_FOUND' })
  })
  t.throws(() => traceWith(), {
    code: 'ERR_MILLRACE_MISSING_PEER',
    message:
      'spans and metrics of OpenTelemetry need the package @opentelemetry/api, which could not be loaded: npm install @opentelemetry/api',
  })
  t.false(isWatched())
  const queue = open(t, uniqueName(t))
  await queue.push('x')
  restore()
  using _tracing = traceWith()
  t.true(isWatched())
})

it('one that is too old is said to be that', (t) => {
  apiIs(t, () => ({ trace: {}, context: {} }))
  t.throws(() => traceWith(), {
    code: 'ERR_MILLRACE_MISSING_PEER',
    message: /@opentelemetry\/api, which is older than 1\.4: npm install @opentelemetry\/api$/,
  })
  t.false(isWatched())
})

it('clocks and timers that stand still hold up no span', async (t) => {
  const name = uniqueName(t)
  const standing = start(new URL('./fixtures/standing-still.js', import.meta.url), [name])
  t.deepEqual(await standing.next(), [
    [`send ${name}`, 0],
    [`process ${name}`, 2],
    [`process ${name}`, 0],
  ])
  t.deepEqual(await standing.ended(), { code: 0, signal: null }, standing.stderr)
})

it('in listeners of exit all is as without tracing: what is in hand is settled, what is closed says so, and the exit code stays', async (t) => {
  const name = uniqueName(t)
  const ending = start(new URL('./fixtures/exiting.js', import.meta.url), [name])
  t.deepEqual(await ending.ended(), { code: 3, signal: null }, ending.stderr)
  t.is(ending.stderr, '')
  t.deepEqual(ending.lines, [
    'ERR_MILLRACE_CLOSED',
    `send ${name}`,
    `receive ${name}`,
    `process ${name}`,
  ])
})
