// What the benchmark suite makes of its runs: the median of several, which of them count, and the judgement by the baseline.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { InFlight } from '../../bench/side/in-flight.js'
import { choose } from '../../bench/suite/choice.js'
import { merged, prevailingOf, valuesOf } from '../../bench/suite/merge.js'
import { ratios } from '../../bench/suite/ratio-definitions.js'
import { ratioOf, rowsOf, targetsOf, unavailableRatios } from '../../bench/suite/ratios.js'
import type { Report, Summary } from '../../bench/suite/row.js'
import { rows } from '../../bench/suite/rows.js'
import { verdicts } from '../../bench/suite/verdicts.js'

const folder = mkdtempSync(join(tmpdir(), `millrace-benchmarks-${process.pid}-`))
test.after.always(() => {
  rmSync(folder, { recursive: true })
})

const row = (name: string, p50: number): Summary => ({
  name,
  payload: 64,
  unit: 'message',
  topology: 'spinning, two cores',
  p50,
  min: p50 - 1,
  max: p50 + 1,
  repetitions: 3,
  checked: true,
})

function report(values: Record<string, number>, more: Partial<Report> = {}): Report {
  return {
    machine: {},
    versions: {},
    method: 'so',
    repetitions: 3,
    placement: 'near',
    rows: [],
    ratios: values,
    spreads: {},
    targets: targetsOf(Object.entries(values)),
    skipped: [],
    unavailable: {},
    ...more,
  }
}

test('every row that a ratio names is there, once', (t) => {
  const names = rows.map(({ name }) => name)
  t.is(new Set(names).size, names.length)
  t.deepEqual(
    ratios.flatMap(rowsOf).filter((name) => !names.includes(name)),
    [],
  )
  t.is(new Set(ratios.map(({ name }) => name)).size, ratios.length)
})

test('of several runs, the median of each ratio and row is told', (t) => {
  const all = [
    report({ open_close: 2 }, { rows: [row('a', 10), row('b', 7)] }),
    report({ open_close: 9 }, { rows: [row('a', 30)] }),
    report({ open_close: 2.5 }, { rows: [row('a', 11)] }),
  ]
  const one = merged(all)
  t.is(one.ratios['open_close'], 2.5)
  t.deepEqual(one.spreads['open_close'], [2, 9])
  t.true(one.targets['open_close']?.reached)
  const expected = { name: 'a', p50: 11, min: 9, max: 31, repetitions: 9 }
  t.like(one.rows[0], expected)
  t.like(one.rows[1], { name: 'b', p50: 7, repetitions: 3 }, 'what only one run measured stays')
  t.deepEqual(valuesOf(all, 'open_close'), [2, 9, 2.5])
})

test('what one run left out and another measured is not left out', (t) => {
  const skipped = [
    { name: 'a', why: 'it failed' },
    { name: 'b', why: 'it failed' },
  ]
  const one = merged([report({}, { skipped }), report({}, { rows: [row('a', 1)] })])
  t.deepEqual(
    one.skipped.map(({ name }) => name),
    ['b'],
  )
})

test('what takes long is measured where every row is, or where it is named', (t) => {
  const names = (wish: Parameters<typeof choose>[2]) =>
    choose(rows, ratios, wish).chosen.map(({ name }) => name)
  const slow = rows.filter((row) => row.slow === true).map(({ name }) => name)
  t.true(slow.length > 0)
  const among = (chosen: readonly string[]) => slow.filter((name) => chosen.includes(name))
  t.deepEqual(among(names({ quick: true, all: false })), [])
  t.deepEqual(among(names({ quick: true, all: true })), slow)
  t.deepEqual(among(names({ quick: false, all: false })), slow)
  const [first = ''] = slow
  t.deepEqual(among(names({ only: first, quick: true, all: false })), [first])
})

test('a ratio that lacks only what the quick form does without cannot be had there', (t) => {
  const [slow] = rows.filter((row) => row.slow === true)
  const ratio = { name: 'one', means: '', above: slow!.name, below: 'start: Node alone' }
  const { chosen, tooSlow } = choose(rows, [ratio], { quick: true, all: false })
  t.deepEqual(
    chosen.map(({ name }) => name),
    ['start: Node alone'],
  )
  const [skipped] = tooSlow
  t.like(skipped, { name: slow!.name, unavailable: true })
})

test('of several runs, the median of what became of the tasks is told', (t) => {
  const fate = (lost: number, againAfter?: number) => ({
    ...{ name: 'worker killed: one', tasks: 2000, lost, twice: 0, lastAfter: 9, repetitions: 1 },
    ...(againAfter === undefined ? {} : { againAfter }),
  })
  const of = (...fates: ReturnType<typeof fate>[]) => report({}, { fates })
  const skipped = [{ name: 'worker killed: one', why: 'it failed' }]
  const one = merged([of(fate(850)), of(fate(3, 20)), of(fate(900)), report({}, { skipped })])
  t.deepEqual(one.fates, [{ ...fate(850, 20), repetitions: 3 }])
  t.deepEqual(one.skipped, [])
  const [none] = merged([of(fate(1)), of(fate(1))]).fates ?? []
  t.false('againAfter' in none!, 'nobody began it again')
})

test('no more calls are under way than are to be, and what fails is told', async (t) => {
  const most = 3
  const calls = new InFlight(most)
  const pending: (() => void)[] = []
  let underWay = 0
  let peak = 0
  const call = async () => {
    peak = Math.max(peak, ++underWay)
    await new Promise<void>((resolve) => pending.push(resolve))
    underWay--
  }
  const added = (async () => {
    for (let i = 0; i < 10; i++) await calls.add(call())
    await calls.all()
  })()
  const state = { ended: false }
  void added.then(() => (state.ended = true))
  while (!state.ended) {
    pending.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.is(underWay, 0)
  t.is(peak, most)
  await calls.add(Promise.reject(new Error('no')))
  await t.throwsAsync(calls.all(), { message: 'no' })
})

test('the placement that most runs had prevails, and otherwise the first', (t) => {
  const of = (...placements: Report['placement'][]) =>
    prevailingOf(placements.map((placement) => report({}, { placement })))
  t.is(of('near', 'far', 'far'), 'far')
  t.is(of('far', 'near'), 'far')
  t.is(of('same core'), 'same core')
})

test('a ratio whose rows cannot be had is told apart from one whose rows failed', (t) => {
  const why = 'zeromq does not load'
  const zeromq = { name: 'throughput 64 B: zeromq ipc', why }
  t.deepEqual(unavailableRatios([{ ...zeromq, unavailable: true }]), { tput64_vs_zeromq: why })
  t.deepEqual(unavailableRatios([zeromq]), {})
  const json = { name: 'throughput 64 B: process.send, json', why, unavailable: true }
  t.deepEqual(unavailableRatios([json]), {}, 'the other serialization is there')
})

test('of many workers, the slowest is told as a part of the mean', (t) => {
  const definition = ratios.find(({ name }) => name === 'work_many_fair')!
  const of = (perSecond: number) => new Map([[1, { p50: 1e9 / perSecond }]])
  const [all = '', slowest = ''] = rowsOf(definition)
  const kept = [
    { row: rows.find(({ name }) => name === all)!, byPass: of(800), checked: false },
    { row: rows.find(({ name }) => name === slowest)!, byPass: of(60), checked: false },
  ]
  t.is(ratioOf(definition, kept)?.value, 0.6)
})

test('verdicts are by the median, and say which runs are far from it', (t) => {
  const lines = verdicts(
    report(
      { open_close: 2, first_message: 3 },
      {
        unavailable: { tput64_vs_zeromq: 'no zeromq' },
        skipped: [{ name: 'x', why: 'it failed' }],
      },
    ),
    (name) => (name === 'open_close' ? [1.9, 2, 2.1] : [2, 3, 3]),
  ).join('\n')
  t.regex(lines, /`open_close` \| ≤ 3 \| 2 \| 1\.9, 2, 2\.1 \| 5 % \| yes \| pass \|/)
  t.regex(lines, /`first_message` \| ≤ 1\.15 \| 3 \| 2, 3, 3 \| 33 % \| no \| \*\*FAIL\*\* \|/)
  t.regex(lines, /^1 of 2 ratios reach what they are to; missed: first_message$/m)
  t.regex(lines, /^1 of them within 10 % of their median in all runs; not: first_message$/m)
  t.regex(lines, /^not to be had here: tput64_vs_zeromq \(no zeromq\)$/m)
  t.regex(lines, /^FAILED: x: it failed$/m)
})

const script = fileURLToPath(new URL('../../../scripts/check-ratios.mjs', import.meta.url))
const write = (name: string, content: unknown) => {
  const file = join(folder, name)
  writeFileSync(file, JSON.stringify(content))
  return file
}
const check = (...args: readonly string[]) => {
  const { status, stdout } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
  return { status, stdout }
}

test('the baseline that runs make judges later ones', (t) => {
  const ratio = { ratio: 2, better: 'lower', tolerance: 2 }
  const baseline = write('baseline.json', { ratios: { open_close: ratio } })
  const run = (name: string, values: Record<string, number>, more?: Partial<Report>) =>
    write(name, report(values, more))
  const made = [3, 1, 2.5].map((value, i) =>
    run(`made-${i}`, { open_close: value, tput64_vs_zeromq: 40 }),
  )
  t.is(check(...made, '--write', '--baseline', baseline).status, 0)
  const written = JSON.parse(readFileSync(baseline, 'utf8')) as unknown
  t.deepEqual(written, {
    ratios: {
      open_close: { ...ratio, ratio: 2.5 },
      tput64_vs_zeromq: { ratio: 40, better: 'higher', tolerance: 3 },
    },
    placement: 'near',
  })

  const judge = (values: Record<string, number>, more?: Partial<Report>) =>
    check(run('now', values, more), '--baseline', baseline)
  t.is(judge({ open_close: 4.9, tput64_vs_zeromq: 14 }).status, 0)
  t.is(judge({ open_close: 5.1, tput64_vs_zeromq: 14 }).status, 1, 'more than twice the baseline')
  t.is(judge({ open_close: 2, tput64_vs_zeromq: 13 }).status, 1, 'less than a third of it')
  t.is(judge({ open_close: 2 }).status, 1, 'not measured')
  const unavailable = judge({ open_close: 2 }, { unavailable: { tput64_vs_zeromq: 'no zeromq' } })
  t.is(unavailable.status, 0, 'not to be had')
  t.regex(unavailable.stdout, /1 of 1 ratios hold/)
  const far = judge({ open_close: 99 }, { placement: 'far' })
  t.is(far.status, 0)
  t.regex(far.stdout, /nothing is judged/)
})
