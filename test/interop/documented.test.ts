// The programs in docs/semaphore.md and docs/interoperation.md, taken from the pages and run.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { transform } from 'esbuild'
import { Semaphore } from 'millrace/sync'

import { runProgram } from '../support/cxx.js'
import { objectsOf } from '../support/names.js'
import { Run } from '../support/process.js'
import { until } from '../support/until.js'
import { compileC, runPython } from './peer.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** The same test may run elsewhere on this machine: it must not meet this one. */
const own = (name: string) => `${name}-${process.pid}`

/** Writes the program that a page shows under that file name to a directory of this test's own. */
function programOf(t: ExecutionContext, page: string, file: string): string {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  const blocks = [...text.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, block]) => block!)
  const found = blocks.filter((block) => /^(?:\/\/|\/\*|#) ([\w.]+)/.exec(block)?.[1] === file)
  if (found.length !== 1) throw new Error(`${page} shows ${file} ${found.length} times`)
  // Within the package, so that it finds itself by its name.
  const directory = join(root, 'out', `documented-${process.pid}`)
  mkdirSync(directory, { recursive: true })
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  const path = join(directory, file)
  writeFileSync(
    path,
    found[0]!.replace(
      /(['"/])(seats|sums)(?=['".])/g,
      (_, mark: string, name: string) => `${mark}${own(name)}`,
    ),
  )
  return path
}

/** Starts a program in TypeScript: Node 20 knows neither types nor `using`. */
async function startNode(t: ExecutionContext, program: string): Promise<Run> {
  const { code } = await transform(readFileSync(program, 'utf8'), {
    loader: 'ts',
    target: 'node20',
  })
  const path = program.replace(/\.ts$/, '.mjs')
  writeFileSync(path, code)
  const running = new Run(spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'pipe'] }))
  t.teardown(() => running.end())
  return running
}

test.serial('docs/semaphore.md: two of many processes work at any time', async (t) => {
  t.teardown(() => Semaphore.unlink(own('seats')))
  const program = programOf(t, 'semaphore.md', 'limited.ts')
  const crowd = await Promise.all([1, 2, 3, 4].map(() => startNode(t, program)))
  for (const each of crowd) {
    t.deepEqual(await each.ended(60_000), { code: 0, signal: null }, each.stderr)
    t.deepEqual(
      each.lines,
      [1, 2, 3].map((job) => `${each.pid} works on ${job}`),
    )
  }
  using seats = Semaphore.open(own('seats'))
  t.is(seats.value, 2)
})

for (const [language, file] of [
  ['C', 'sums.c'],
  ['Python', 'sums.py'],
] as const) {
  test.serial(
    `docs/interoperation.md: Node puts numbers down, ${language} adds them up`,
    async (t) => {
      t.teardown(() => {
        for (const name of [`${own('sums')}.ready`, `${own('sums')}.done`]) Semaphore.unlink(name)
      })
      const node = await startNode(t, programOf(t, 'interoperation.md', 'sums.ts'))
      const other = programOf(t, 'interoperation.md', file)
      const program = language === 'C' ? await compileC(other) : other
      await until(() => objectsOf(`${own('sums')}.done`).length > 0)
      if (language === 'C') {
        const running = runProgram(t, program)
        t.deepEqual(await running.ended(), { code: 0, signal: null }, running.stderr)
      } else {
        t.is(await runPython(program), '')
      }
      t.deepEqual(await node.ended(), { code: 0, signal: null }, node.stderr)
      t.deepEqual(node.lines, ['499500'])
      for (const name of ['', '.ready', '.done']) t.deepEqual(objectsOf(own('sums') + name), [])
    },
  )
}
