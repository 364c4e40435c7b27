// `npm run mutate` tells a test that notices from one that does not, and from a list that is out of date.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { Run } from '../support/process.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

const judged = {
  file: 'native/include/millrace/lane_queue.hpp',
  text: 'if (waiting > view_.capacity()) return std::nullopt;',
  test: { native: 'lane_queue_test', only: 'impossible positions and slots are noticed' },
}

test('a mutant that changes nothing survives, one that is noticed does not', async (t) => {
  t.timeout(240_000)
  const { code, said } = await mutate(t, [
    { name: 'changes-nothing', breaks: 'nothing', ...judged, instead: judged.text },
    { name: 'is-noticed', breaks: 'the judgement', ...judged, instead: '' },
    { name: 'matches-nothing', breaks: 'nothing', ...judged, text: 'no such text', instead: '' },
    { name: 'is-no-code', breaks: 'the build', ...judged, instead: 'if (' },
    {
      name: 'has-no-test',
      breaks: 'the list',
      ...judged,
      instead: '',
      test: { native: 'lane_queue_test', only: 'no such title' },
    },
  ])
  t.is(code, 1)
  const outcomes = Object.fromEntries(
    [...said.matchAll(/^([\w-]+) {2,}([A-Za-z][A-Za-z ,]*?) {2,}lane_queue_test/gm)].map(
      ([, name = '', outcome]) => [name, outcome],
    ),
  )
  t.deepEqual(outcomes, {
    'changes-nothing': 'SURVIVES',
    'is-noticed': 'killed',
    'matches-nothing': 'NO MATCH',
    'is-no-code': 'NOT COMPILED',
    'has-no-test': 'FAILS UNCHANGED',
  })
  t.regex(said, /^1 of 5 mutants killed$/m)
})

test('each mutant is of a text that stands once in its file', async (t) => {
  const { mutants } = (await import(new URL('test/mutants.mjs', `file://${root}`).href)) as {
    readonly mutants: readonly {
      readonly name: string
      readonly file: string
      readonly text: string
    }[]
  }
  const elsewhere = mutants.filter(
    ({ file, text }) => readFileSync(join(root, file), 'utf8').split(text).length !== 2,
  )
  t.deepEqual(
    elsewhere.map(({ name }) => name),
    [],
  )
  t.true(mutants.length > 100)
})

/** Runs it with a list of its own. */
async function mutate(t: ExecutionContext, mutants: readonly object[]) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-list-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const list = join(folder, 'mutants.mjs')
  writeFileSync(list, `export const mutants = ${JSON.stringify(mutants)}`)
  const args = [join(root, 'scripts/mutate.mjs'), '--list', list]
  const run = new Run(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  t.teardown(() => run.end())
  const { code } = await run.ended(200_000)
  return { code, said: run.lines.join('\n') }
}
