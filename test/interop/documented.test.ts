// The programs in docs/semaphore.md and docs/interoperation.md, taken from the pages and run.

import test from 'ava'
import { Semaphore } from 'millrace/sync'

import { runProgram } from '../support/cxx.js'
import { programOf, startNode } from '../support/documented.js'
import { objectsOf } from '../support/names.js'
import { until } from '../support/until.js'
import { compileC, runPython } from './peer.js'

/** The same test may run elsewhere on this machine: it must not meet this one. */
const own = (name: string) => `${name}-${process.pid}`

test.serial('docs/semaphore.md: two of many processes work at any time', async (t) => {
  t.teardown(() => Semaphore.unlink(own('seats')))
  const program = programOf(t, 'semaphore.md', 'limited.ts', { seats: own('seats') })
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

const sums = { sums: own('sums') }
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
      const node = await startNode(t, programOf(t, 'interoperation.md', 'sums.ts', sums))
      const other = programOf(t, 'interoperation.md', file, sums)
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
