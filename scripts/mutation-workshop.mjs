// Where mutants are made and tried: a copy of the tree in a temporary folder, so that nobody's files are touched and
// nothing built is taken for what it is not. The installed packages and the compiled addon are those of the tree.
//
// A test is { native: a file of native/test, only?: a title } or { ava: a file of test/ without .test.ts, only?: a title }.
// Of the C++ tests only that one file is compiled.
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { clearTimeout, setTimeout } from 'node:timers'
import { root } from './native-build.mjs'

/** Installed, built, or of no use to a test. */
const notCopied = new Set([
  ...[
    '.cache',
    '.git',
    'build',
    'build-native',
    'coverage',
    'dist',
    'node_modules',
    'out',
    'prebuilds',
    'site',
  ],
])
const compiler = process.env.CXX ?? 'c++'
const flags = ['-std=c++20', '-O1', '-pthread', '-D_FILE_OFFSET_BITS=64']
const libraries = process.platform === 'linux' ? ['-lrt', '-ldl'] : []
const sharedMemory = '/dev/shm'

/** A mutant may well hang; what the test takes unchanged is multiplied, for the machine may be busy. */
const limit = (unchangedMs) => Math.max(30_000, unchangedMs * 5)
const patience = 300_000

export class Workshop {
  folder = mkdtempSync(join(tmpdir(), 'millrace-mutants-'))
  #tests
  /** What tests did unchanged, by their command. */
  #unchanged = new Map()
  /** Is dist/ that of a mutant? */
  #spoiled = false
  #child

  constructor(tests) {
    this.#tests = tests
    process.once('exit', () => this.remove())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.once(signal, () => {
        this.#end()
        process.exit(1)
      })
  }

  async prepare() {
    cpSync(root, this.folder, {
      recursive: true,
      filter: (path) => !notCopied.has(basename(path)),
    })
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'))
    if (this.#tests.some(({ native }) => native !== undefined)) {
      await this.#must([compiler, [...flags, '-c', 'native/test/main.cpp', '-o', 'main.o']])
    }
    if (this.#tests.some(({ ava }) => ava !== undefined)) {
      const addon = join('build', 'Release', 'millrace.node')
      if (!existsSync(join(root, addon))) throw new Error('no addon: npm run build:native first')
      mkdirSync(join(this.folder, dirname(addon)), { recursive: true })
      cpSync(join(root, addon), join(this.folder, addon))
      await this.#must(['npm', ['run', 'build:ts']])
      await this.#must(['npm', ['run', 'build:test']])
    }
  }

  /** Does the test pass as the tree is? Tried once. */
  async passes(test) {
    const key = JSON.stringify(test)
    if (!this.#unchanged.has(key)) {
      if (this.#spoiled && test.ava !== undefined) {
        await this.#must(['npm', ['run', 'build:ts']])
        this.#spoiled = false
      }
      const built = await this.#build(test)
      if (!built.passed)
        throw new Error(`${JSON.stringify(test)} does not compile:\n${built.output}`)
      this.#unchanged.set(key, await this.#run(test, patience))
    }
    return this.#unchanged.get(key)
  }

  /** Builds what the test needs of a changed file, and runs it. */
  async tries(test, file, unchangedMs) {
    if (test.ava !== undefined) {
      if (!file.startsWith('lib/')) throw new Error(`tests of JavaScript are for lib/, not ${file}`)
      this.#spoiled = true
    }
    const built =
      test.ava !== undefined
        ? await this.#do('npm', ['run', 'build:ts'], patience)
        : await this.#build(test)
    if (!built.passed) return { ...built, built: false, passed: false }
    return { built: true, ...(await this.#run(test, limit(unchangedMs))) }
  }

  remove() {
    this.#end()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Nothing for a test of JavaScript: that is compiled. */
  async #build({ native }) {
    if (native === undefined) return { passed: true }
    const crash = native.startsWith('crash/') ? ['-DMILLRACE_CRASH_POINTS'] : []
    const files = [
      '-I',
      'native/include',
      `native/test/${native}.cpp`,
      'main.o',
      '-o',
      'native-test',
    ]
    return await this.#do(compiler, [...flags, ...crash, ...files, ...libraries], patience)
  }

  async #run({ native, ava, only }, milliseconds) {
    const before = new Set(objects())
    const outcome =
      native !== undefined
        ? await this.#do(
            './native-test',
            only ? [`--test-case=${pattern(only)}`] : [],
            milliseconds,
          )
        : await this.#do(
            process.execPath,
            [
              ...['node_modules/ava/entrypoints/cli.mjs', `out/test/${ava}.test.js`],
              ...(only ? ['--match', only] : []),
            ],
            milliseconds,
          )
    removeLeft(before)
    // A title that is not there must not pass for a test.
    const tested = native === undefined || /test cases: +[1-9]/.test(outcome.output)
    return { ...outcome, passed: outcome.passed && tested }
  }

  async #must([command, args]) {
    const { passed, output } = await this.#do(command, args, patience)
    if (!passed) throw new Error(`${command} ${args.join(' ')}\n${output}`)
  }

  /** `ended`: by itself, in time. */
  async #do(command, args, milliseconds) {
    const began = performance.now()
    const child = spawn(command, args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a group of its own, which can be ended as a whole
    })
    this.#child = child
    let output = ''
    const collect = (text) => (output = (output + text).slice(-20_000))
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    let ended = true
    const timer = setTimeout(() => {
      ended = false
      this.#end()
    }, milliseconds)
    try {
      const code = await new Promise((resolve, reject) => {
        child.once('error', reject)
        child.once('exit', () => this.#end()) // what it has left running would keep the pipes open
        child.once('close', resolve)
      })
      return { passed: code === 0, ended, output, ms: performance.now() - began }
    } finally {
      clearTimeout(timer)
      this.#child = undefined
    }
  }

  /** The program that runs, and whatever it has started. */
  #end() {
    if (this.#child?.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // All have ended.
    }
  }
}

/** doctest separates patterns by commas. */
const pattern = (title) => title.replaceAll(',', '?')

const objects = () => (existsSync(sharedMemory) ? readdirSync(sharedMemory) : [])

/** Tests that fail may leave something, under names that begin with their process id: nobody's, once that has ended. */
function removeLeft(before) {
  for (const object of objects()) {
    const pid = Number(/(?:^|\.)t(?:est-)?(\d+)-/.exec(object)?.[1])
    if (before.has(object) || !(pid > 0) || existsSync(`/proc/${pid}`)) continue
    rmSync(join(sharedMemory, object), { force: true })
  }
}
