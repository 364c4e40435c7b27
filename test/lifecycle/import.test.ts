// Loading the package: from CommonJS, twice, and at what cost.

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import * as millrace from 'millrace'
import * as dashboard from 'millrace/dashboard'
import * as resilience from 'millrace/resilience'
import * as rpc from 'millrace/rpc'
import * as streams from 'millrace/streams'
import * as struct from 'millrace/struct'
import * as sync from 'millrace/sync'
import * as telemetry from 'millrace/telemetry'
import * as topics from 'millrace/topics'
import * as work from 'millrace/work'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

test('require gives a CommonJS program what import gives a module', (t) => {
  const require = createRequire(import.meta.url)
  const imports = {
    millrace,
    'millrace/dashboard': dashboard,
    'millrace/resilience': resilience,
    'millrace/rpc': rpc,
    'millrace/streams': streams,
    'millrace/struct': struct,
    'millrace/sync': sync,
    'millrace/telemetry': telemetry,
    'millrace/topics': topics,
    'millrace/work': work,
  }
  for (const [entry, imported] of Object.entries(imports)) {
    t.deepEqual({ ...(require(entry) as object) }, { ...imported }, entry)
  }
})

test('two copies of the package in one process talk to each other', async (t) => {
  const name = uniqueName(t)
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const copies = ['first', 'second'].map((copy) => {
    const to = join(directory, copy)
    for (const part of ['dist', 'build/Release/millrace.node', 'package.json']) {
      mkdirSync(join(to, part, '..'), { recursive: true })
      cpSync(join(root, part), join(to, part), { recursive: true })
    }
    cpSync(join(root, 'node_modules/node-gyp-build'), join(to, 'node_modules/node-gyp-build'), {
      recursive: true,
    })
    return join(to, 'dist/index.js')
  })
  const child = run(t, new URL('./fixtures/copies.js', import.meta.url), [name, ...copies])
  t.deepEqual(await child.next(), { message: 'hello', sequence: 1, distinct: true })
  t.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr)
})

interface Cost {
  readonly elapsedMs: number
  readonly processorMs: number
  readonly addedMiB: number
}

for (const how of ['require', 'import']) {
  test(`${how} of the package costs little time and memory`, async (t) => {
    const costs: Cost[] = []
    for (let i = 0; i < 7; i++) {
      const child = run(t, new URL('./fixtures/cost.js', import.meta.url), [how])
      costs.push((await child.next()) as Cost)
      await child.ended()
    }
    const median = (of: keyof Cost) => costs.map((cost) => cost[of]).sort((a, b) => a - b)[3]!
    const [elapsed, processor, added] = (['elapsedMs', 'processorMs', 'addedMiB'] as const).map(
      median,
    )
    t.log(
      `${elapsed!.toFixed(1)} ms, of them ${processor!.toFixed(1)} ms of processor time;`,
      `${added!.toFixed(1)} MiB`,
    )
    // Not by the clock: that would tell of the machine's other work, too.
    t.true(processor! < 100)
    t.true(added! < 10)
  })
}
