// Can the tests fail? Changes one thing at a time (test/mutants.mjs) in a copy of the tree, and expects the test that
// watches over that thing to notice.
//
//   node scripts/mutate.mjs [--short] [--only NAME]… [--list FILE]
//
// Each test runs once unchanged first, and has to pass. What ends with exit code 1: such a test that fails, a mutant whose
// text is not in its file exactly once, one that does not compile, and one that survives.
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Workshop } from './mutation-workshop.mjs'
import { root } from './native-build.mjs'

const { values: options } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    list: { type: 'string', default: join(root, 'test', 'mutants.mjs') },
  },
})
const mutants = await chosen()
const workshop = new Workshop(mutants.map(({ test }) => test))
const outcomes = []
try {
  await workshop.prepare()
  for (const mutant of mutants) {
    const outcome = { mutant, ...(await outcomeOf(mutant)) }
    outcomes.push(outcome)
    console.log(line(outcome))
  }
} finally {
  workshop.remove()
}
report()

async function chosen() {
  const { mutants: all } = await import(pathToFileURL(resolve(options.list)).href)
  const names = all.map(({ name }) => name)
  for (const [at, name] of names.entries())
    if (names.indexOf(name) !== at) throw new Error(`two mutants are called '${name}'`)
  for (const name of options.only ?? [])
    if (!names.includes(name))
      throw new Error(`no mutant '${name}'; there are: ${names.join(', ')}`)
  return all.filter(
    ({ name, short }) => (options.only?.includes(name) ?? true) && (!options.short || short),
  )
}

async function outcomeOf({ file, text, instead, test }) {
  const path = join(workshop.folder, file)
  const original = readFileSync(path, 'utf8')
  const found = original.split(text).length - 1
  if (found !== 1) return { verdict: 'NO MATCH', why: `its text is ${found} times in ${file}` }
  try {
    const unchanged = await workshop.passes(test)
    if (!unchanged.passed) return { verdict: 'FAILS UNCHANGED', why: unchanged.output }
    // A function, so that no $ in it is taken for a pattern.
    writeFileSync(
      path,
      original.replace(text, () => instead),
    )
    const began = performance.now()
    const { built, passed, ended, output } = await workshop.tries(test, file, unchanged.ms)
    const seconds = (performance.now() - began) / 1000
    if (!built) return { verdict: 'NOT COMPILED', why: output }
    if (passed) return { verdict: 'SURVIVES', seconds }
    return { verdict: ended ? 'killed' : 'killed, by the time', seconds }
  } finally {
    writeFileSync(path, original)
  }
}

function line({ mutant, verdict, seconds }) {
  const time = seconds === undefined ? '' : `${seconds.toFixed(1)} s`
  return `${verdict.padEnd(20)}${time.padStart(8)}  ${mutant.name}: ${mutant.breaks}`
}

function report() {
  const width = Math.max(...mutants.map(({ name }) => name.length))
  console.log(`\n${'mutant'.padEnd(width)}  ${'outcome'.padEnd(20)} test`)
  for (const { mutant, verdict } of outcomes)
    console.log(`${mutant.name.padEnd(width)}  ${verdict.padEnd(20)} ${title(mutant.test)}`)
  const bad = outcomes.filter(({ verdict }) => !verdict.startsWith('killed'))
  for (const { mutant, verdict, why = '' } of bad)
    console.log(`\n${mutant.name}: ${verdict} (${mutant.file})\n${why}`.trimEnd())
  console.log(`\n${outcomes.length - bad.length} of ${outcomes.length} mutants killed`)
  process.exitCode = bad.length === 0 && outcomes.length > 0 ? 0 : 1
}

function title({ native, ava, only }) {
  return `${native ?? ava}${only === undefined ? '' : `: ${only}`}`
}
