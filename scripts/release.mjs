// Makes a release: version, changelog, commit and tag, in one command. Publishing is the business of
// .github/workflows/release.yml, which the pushed tag starts.
//
//   npm run release -- patch | minor | major | VERSION
//   npm run release -- … --dry-run        does all of it in a clone, shows what came of it, and throws it away;
//                                         without a version it takes the next one
//   npm run release -- --verify TAG       for the workflow: TAG, package.json and CHANGELOG.md say the same
//
// `npm version` does the work; --check is its hook.
import { execFileSync } from 'node:child_process'
import { existsSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { hasUnreleased, notes, problems } from './changelog.mjs'
import { root } from './tarball.mjs'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'dry-run': { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    verify: { type: 'string' },
  },
})

const read = (name) => readFileSync(join(root, name), 'utf8')
const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
const manifest = JSON.parse(read('package.json'))

if (options.check) check()
else if (options.verify !== undefined) refuse(tagProblems(options.verify))
else if (options['dry-run']) rehearse(positionals[0] ?? next())
else perform(positionals[0])

/** Whatever is in the way of a release of this package, wherever it is made. */
function packageProblems() {
  const found = problems(read('CHANGELOG.md'))
  if (manifest.repository?.url === undefined)
    found.push(
      'package.json names no "repository": provenance ties a package to the public repository it was built in, and npm refuses to publish without',
    )
  return found
}

function check() {
  const found = packageProblems()
  if (!hasUnreleased(read('CHANGELOG.md')))
    found.push('CHANGELOG.md has nothing under Unreleased, so there is nothing to release')
  if (process.env['MILLRACE_RELEASE'] === 'rehearsal') {
    for (const problem of found) console.log(`A release would be refused: ${problem}.`)
    return
  }
  if (git('status', '--porcelain') !== '') found.push('there are changes that are not committed')
  if (git('branch', '--show-current') !== 'main') found.push('releases are made on main')
  refuse(found)
}

function tagProblems(tag) {
  const found = packageProblems()
  if (tag !== `v${manifest.version}`)
    found.push(`the tag ${tag} does not fit package.json, which says ${manifest.version}`)
  try {
    notes(read('CHANGELOG.md'), manifest.version)
  } catch (error) {
    found.push(error.message)
  }
  return found
}

function refuse(found) {
  for (const problem of found) console.error(`Not released: ${problem}.`)
  if (found.length > 0) process.exit(1)
}

/** The version that is there, if it was never released, else the next patch. */
function next() {
  return git('tag', '--list', `v${manifest.version}`) === '' ? manifest.version : 'patch'
}

function version(directory, which, env = {}) {
  execFileSync('npm', ['version', which, '--allow-same-version', '--message', 'Release %s'], {
    cwd: directory,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  })
}

function perform(which) {
  if (which === undefined) throw new Error('say which: patch, minor, major, or a version')
  try {
    version(root, which)
  } catch (error) {
    process.exit(error.status ?? 1) // npm has said why
  }
  console.log('Now push it, and the workflow publishes: git push --follow-tags origin main')
}

/** Of what is committed; this checkout is only read. */
function rehearse(which) {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-release-'))
  const clone = join(directory, 'clone')
  const run = (command, ...args) =>
    execFileSync(command, args, { cwd: clone, stdio: ['ignore', 'inherit', 'inherit'] })
  try {
    execFileSync('git', ['clone', '--quiet', root, clone])
    run('git', 'config', 'user.name', 'rehearsal')
    run('git', 'config', 'user.email', 'rehearsal@localhost')
    symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
    if (existsSync(join(root, 'prebuilds')))
      cpSync(join(root, 'prebuilds'), join(clone, 'prebuilds'), { recursive: true })
    version(clone, which, { MILLRACE_RELEASE: 'rehearsal' })
    run('git', '--no-pager', 'log', '-1', '--stat', '--format=%nCommit "%s", tag %D')
    run('git', '--no-pager', 'diff', '--unified=1', 'HEAD~', '--', 'package.json', 'CHANGELOG.md')
    run('npm', 'run', '--silent', 'build:ts')
    run('npm', 'run', '--silent', 'lint:package')
    console.log('Nothing was changed here.')
  } finally {
    rmSync(directory, { recursive: true })
  }
}
