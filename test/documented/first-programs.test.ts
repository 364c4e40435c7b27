// The programs that a guide shows before it explains: taken from the page, and run as a newcomer does. Those of the README, of
// recipes and of restarts have tests of their own.

import { existsSync, readFileSync, rmSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { MappedFile, SpscQueue } from 'millrace'
import { SharedRateLimiter } from 'millrace/resilience'
import { Counter } from 'millrace/sync'
import { WorkQueue } from 'millrace/work'

import { compileProgram, programOf, startNode } from '../support/documented.js'
import { uniqueName } from '../support/names.js'
import type { Run } from '../support/process.js'
import { until } from '../support/until.js'

const patience = 30_000

/** Starts that program of the page, after it is written and compiled. */
async function start(
  t: ExecutionContext,
  page: string,
  file: string,
  names: Readonly<Record<string, string>>,
): Promise<Run> {
  return startNode(t, programOf(t, page, file, names))
}

async function endsWell(t: ExecutionContext, ...runs: readonly Run[]): Promise<void> {
  for (const one of runs) {
    t.deepEqual(await one.ended(patience), { code: 0, signal: null }, one.stderr)
    t.is(one.stderr, '')
  }
}

test.serial('queue.md', async (t) => {
  const ticks = uniqueName(t)
  const consumer = await start(t, 'queue.md', 'consumer.ts', { ticks })
  await endsWell(t, await start(t, 'queue.md', 'producer.ts', { ticks }), consumer)
  t.is(consumer.lines.at(-1), 'tick 5')
})

test.serial('records.md', async (t) => {
  const ticks = uniqueName(t)
  const strategy = await start(t, 'records.md', 'strategy.ts', { ticks })
  await endsWell(t, await start(t, 'records.md', 'feed.ts', { ticks }), strategy)
  t.deepEqual(strategy.lines, ['10000 ticks, turnover 1004950'])
})

test.serial('ports.md', async (t) => {
  const [calls, answers] = [uniqueName(t), uniqueName(t)]
  const server = await start(t, 'ports.md', 'serves.ts', { calls, answers })
  const caller = await start(t, 'ports.md', 'calls.ts', { calls, answers })
  await endsWell(t, caller, server)
  t.is(caller.lines.at(-1), '3')
})

test.serial('net.md', async (t) => {
  const echo = uniqueName(t)
  const path = `/tmp/${echo}.sock`
  t.teardown(() => {
    rmSync(path, { force: true })
  })
  const server = await start(t, 'net.md', 'server.ts', { echo })
  await until(() => existsSync(path), patience)
  const client = await start(t, 'net.md', 'client.ts', { echo })
  await endsWell(t, client)
  t.deepEqual(client.lines, ['hello'])
  await server.kill()
})

test.serial('calls.md', async (t) => {
  const calc = uniqueName(t)
  const images = uniqueName(t)
  const servers = [
    await start(t, 'calls.md', 'server.ts', { calc }),
    await start(t, 'calls.md', 'image-server.ts', { images }),
  ]
  const client = await start(t, 'calls.md', 'client.ts', { calc })
  const imageClient = await start(t, 'calls.md', 'image-client.ts', { images })
  await endsWell(t, client, imageClient)
  t.deepEqual(client.lines, ['3', 'hello, world'])
  t.deepEqual(imageClient.lines, ['8000000 254'])
  for (const server of servers) server.signal('SIGTERM')
  await endsWell(t, ...servers)
})

test.serial('frames.md', async (t) => {
  const camera = uniqueName(t)
  const analyser = await start(t, 'frames.md', 'analyser.ts', { camera })
  await endsWell(t, await start(t, 'frames.md', 'camera.ts', { camera }), analyser)
  t.is(analyser.lines.at(-1), '100 100')
})

test.serial('cell.md', async (t) => {
  const position = uniqueName(t)
  const reader = await start(t, 'cell.md', 'reader.ts', { position })
  await endsWell(t, await start(t, 'cell.md', 'writer.ts', { position }), reader)
  t.regex(reader.lines.at(-1) ?? '', /^100 /)
})

test.serial('shared-memory.md', async (t) => {
  const grid = uniqueName(t)
  const creator = await start(t, 'shared-memory.md', 'creator.ts', { grid })
  await until(async () => {
    const other = await start(t, 'shared-memory.md', 'other.ts', { grid })
    return (await other.ended(patience)).code === 0 && Number(other.lines[0]) > 0
  }, patience)
  await endsWell(t, creator)
})

test.serial('event.md', async (t) => {
  const ready = uniqueName(t)
  const waits = await start(t, 'event.md', 'waits.ts', { ready })
  const service = await start(t, 'event.md', 'service.ts', { ready })
  await waits.printed('the service is up')
  const late = await start(t, 'event.md', 'waits.ts', { ready })
  await endsWell(t, waits, late, service)
})

test.serial('barrier.md', async (t) => {
  const step = uniqueName(t)
  const parts = [
    await start(t, 'barrier.md', 'part.ts', { step }),
    await start(t, 'barrier.md', 'part.ts', { step }),
  ]
  await endsWell(t, ...parts)
  const said = parts.flatMap(({ lines }) => lines).sort()
  t.deepEqual(said, ['collected round 1', 'collected round 2', 'collected round 3'])
})

test.serial('counter.md', async (t) => {
  const requests = uniqueName(t)
  t.teardown(() => Counter.unlink(requests))
  for (const id of [1, 2]) {
    const request = await start(t, 'counter.md', 'request.ts', { requests })
    await endsWell(t, request)
    t.deepEqual(request.lines, [`request ${id} of all that ever were`])
  }
})

test.serial('resilience.md', async (t) => {
  const weather = uniqueName(t)
  t.teardown(() => SharedRateLimiter.unlink(weather))
  const fetcher = await start(t, 'resilience.md', 'fetcher.ts', { weather })
  await endsWell(t, fetcher)
  t.deepEqual(fetcher.lines, ['sunny after 3 attempts'])
})

test.serial('rw-lock.md', async (t) => {
  const settings = uniqueName(t)
  const program = await start(t, 'rw-lock.md', 'settings.ts', { settings })
  await endsWell(t, program)
  t.deepEqual(program.lines, ['1 2 false'])
})

test.serial('mutex.md', async (t) => {
  const ledger = uniqueName(t)
  t.teardown(() => {
    rmSync(`/tmp/${ledger}`, { force: true })
  })
  const writers = [
    await start(t, 'mutex.md', 'ledger.ts', { ledger }),
    await start(t, 'mutex.md', 'ledger.ts', { ledger }),
  ]
  await endsWell(t, ...writers)
  t.is(readFileSync(`/tmp/${ledger}`, 'utf8'), '20', 'no step is lost')
})

test.serial('mapped-files.md', async (t) => {
  const runs = uniqueName(t)
  t.teardown(() => {
    rmSync(`/tmp/${runs}`, { force: true })
  })
  for (const number of [1, 2]) {
    const run = await start(t, 'mapped-files.md', 'runs.ts', { runs })
    await endsWell(t, run)
    t.deepEqual(run.lines, [`run ${number}`])
  }
})

test.serial('durability.md', async (t) => {
  const orders = uniqueName(t)
  t.teardown(() => {
    rmSync(`/tmp/${orders}`, { force: true })
  })
  await endsWell(t, await start(t, 'durability.md', 'orders.ts', { orders }))
  using queue = WorkQueue.open(new MappedFile(`/tmp/${orders}`))
  t.is(queue.tryReceive()?.toString(), '{"order":1}')
})

test.serial('pipeline.md', async (t) => {
  const words = uniqueName(t)
  const worker = await start(t, 'pipeline.md', 'worker.ts', { words })
  await endsWell(t, await start(t, 'pipeline.md', 'source.ts', { words }))
  await until(() => worker.lines.length === 3, patience)
  t.deepEqual(worker.lines, ['cat has 3 letters', 'horse has 5 letters', 'ox has 2 letters'])
  t.deepEqual(await worker.kill('SIGTERM'), { code: 0, signal: null }, worker.stderr)
})

test.serial('nameless-segments.md', async (t) => {
  await compileProgram(programOf(t, 'nameless-segments.md', 'child.ts', {}))
  const parent = await start(t, 'nameless-segments.md', 'parent.ts', {})
  await endsWell(t, parent)
  t.deepEqual(parent.lines, ['for you alone'])
})

test.serial('memory-options.md', async (t) => {
  const [keys, ticks] = [uniqueName(t), uniqueName(t)]
  const program = await start(t, 'memory-options.md', 'keys.ts', { keys, ticks })
  await endsWell(t, program)
  t.deepEqual(program.lines, ['4096 1048576'])
  SpscQueue.unlink(ticks)
})
