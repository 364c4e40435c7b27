// The pool of workers of docs/recipes.md, taken from the page and run: whatever ends in it is noticed, whatever goes wrong is told,
// and nobody stays behind.

import { fork, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { sweep } from 'millrace'

import { compileProgram, programOf, startNode } from '../support/documented.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { Run } from '../support/process.js'
import { until, within } from '../support/until.js'

const patience = 30_000

const readyLine = /^process (\d+) is ready$/
const allDone = Array.from({ length: 100 }, (_, i) => `job ${i} done`)
const readyPids = (pool: Run) =>
  pool.lines.flatMap((line) => readyLine.exec(line)?.[1] ?? []).map(Number)
const resultsOf = (pool: Run) => pool.lines.filter((line) => !readyLine.test(line))

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Writes both programs of the pool, each with its changes: pairs of what stands on the page, and what stands there instead. */
function poolPrograms(
  t: ExecutionContext,
  changes: Readonly<Record<'pool' | 'worker', readonly (readonly [string, string])[]>>,
): { name: string; pool: string; worker: string } {
  const name = uniqueName(t)
  t.teardown(() => {
    sweep({ prefix: name, kept: true }) // what a pool that was killed leaves
  })
  const pool = programOf(t, 'recipes.md', 'pool.ts', { pool: name })
  const worker = programOf(t, 'recipes.md', 'worker.ts', {})
  for (const [file, edits] of [
    [pool, changes.pool],
    [worker, changes.worker],
  ] as const) {
    let text = readFileSync(file, 'utf8')
    for (const [from, to] of edits) {
      if (!text.includes(from)) throw new Error(`${file} does not say: ${from}`)
      text = text.replace(from, () => to)
    }
    writeFileSync(file, text)
  }
  return { name, pool, worker }
}

async function startPool(
  t: ExecutionContext,
  changes: Partial<Parameters<typeof poolPrograms>[1]> = {},
): Promise<Run> {
  const { pool, worker } = poolPrograms(t, { pool: [], worker: [], ...changes })
  await compileProgram(worker)
  return startNode(t, pool)
}

test.serial('one is killed, and all jobs are done', async (t) => {
  const pool = await startPool(t)
  await until(() => readyPids(pool).length > 0, patience)
  process.kill(readyPids(pool)[0]!, 'SIGKILL') // it has jobs by now, or is about to be given some
  t.deepEqual(await pool.ended(patience), { code: 0, signal: null }, pool.stderr)
  t.true(readyPids(pool).length >= 2) // the other one, and who took its place, if that was needed
  t.deepEqual(resultsOf(pool), allDone)
})

test.serial('several jobs are under way in each process', async (t) => {
  // A job is not done before four are there: with one at a time the pool would wait for ever.
  const pool = await startPool(t, {
    worker: [
      [
        'await pause(10) // stands for what takes time',
        `await new Promise<void>((resolve) => {
    together.push(resolve)
    if (together.length === 4) for (const go of together.splice(0)) go()
  })`,
      ],
      [
        "import { SpscQueue } from 'millrace'",
        "import { SpscQueue } from 'millrace'\nconst together: (() => void)[] = []",
      ],
    ],
    pool: [['const places = 2', 'const places = 1']],
  })
  t.deepEqual(await pool.ended(patience), { code: 0, signal: null }, pool.stderr)
  t.deepEqual(resultsOf(pool), allDone)
})

test.serial('the error of a job is that of its promise', async (t) => {
  const pool = await startPool(t, {
    worker: [
      [
        'await pause(10)',
        "await pause(10)\n  if (input === 'job 7') throw new RangeError('no such job')",
      ],
    ],
  })
  t.is((await pool.ended(patience)).code, 1)
  t.regex(pool.stderr, /Error: RangeError: no such job/)
})

test.serial('a job that kills its process is rejected, and no other', async (t) => {
  const pool = await startPool(t, {
    worker: [
      [
        'await pause(10)',
        "await pause(10)\n  if (input === 'job 7') process.kill(process.pid, 'SIGKILL')",
      ],
    ],
    pool: [
      [
        'Promise.all(inputs.map(run))',
        '(async () => (await Promise.allSettled(inputs.map(run))).map((one: any) => one.value ?? one.reason.message))()',
      ],
    ],
  })
  t.deepEqual(await pool.ended(patience), { code: 0, signal: null }, pool.stderr)
  t.deepEqual(resultsOf(pool), allDone.with(7, 'three processes have ended at this job'))
  t.is(pool.stderr.match(/is lost/g)?.length, 3)
})

test.serial('that none of them starts is said at once', async (t) => {
  const begun = performance.now()
  const pool = await startPool(t, {
    worker: [['process.once', 'process.exit(3)\nprocess.once']],
  })
  t.is((await pool.ended(patience)).code, 1)
  t.true(performance.now() - begun < 25_000, 'not by the timeout of a wait')
  t.regex(pool.stderr, /it ended with 3/)
  t.regex(pool.stderr, /three workers in a row have ended before they were ready/)
})

test.serial('no worker outlives it', async (t) => {
  const pool = await startPool(t, { worker: [['await pause(10)', 'await pause(100_000)']] })
  await until(() => readyPids(pool).length === 2, patience)
  await pool.kill()
  await until(() => readyPids(pool).every((pid) => !isAlive(pid)), patience)
  t.pass()
})

test.serial('a worker that starts while the pool ends does not wait for ever', async (t) => {
  const { name, worker } = poolPrograms(t, { pool: [], worker: [] })
  const child = fork(await compileProgram(worker), [name], { stdio: 'inherit' })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise((resolve) =>
    child.once('exit', (...how) => {
      resolve(how)
    }),
  )
  await until(() => objectsOf(`${name}.jobs`).length > 0, patience) // it has opened a queue whose other side never comes
  child.disconnect()
  t.deepEqual(await within(patience, ended), [0, null])

  // Before it has come to listen.
  const early = fork(await compileProgram(worker), [name], { stdio: 'inherit' })
  t.teardown(() => early.kill('SIGKILL'))
  const endedEarly = new Promise((resolve) =>
    early.once('exit', (...how) => {
      resolve(how)
    }),
  )
  early.disconnect()
  t.deepEqual(await within(patience, endedEarly), [0, null])
})

// Older ones run what esbuild makes of them, above.
if (Number(process.versions.node.split('.')[0]) >= 24) {
  test.serial('as they stand there, by a Node that knows types', async (t) => {
    const { pool } = poolPrograms(t, { pool: [], worker: [] })
    const run = new Run(spawn(process.execPath, [pool], { stdio: ['ignore', 'pipe', 'pipe'] }))
    t.teardown(() => run.end())
    t.deepEqual(await run.ended(patience), { code: 0, signal: null }, run.stderr)
    t.deepEqual(resultsOf(run), allDone)
  })
}
