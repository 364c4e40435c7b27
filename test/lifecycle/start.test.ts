// What a process reads to have the library: every byte of code takes it time, whether it runs or not. A part that not every
// program uses is loaded by those that do.

import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { libc } from '#lib/addon/binary.js'
import { uniqueName } from '../support/names.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const code = join(root, 'dist/cjs')

/** What a process of its own says that runs `program`; `files()` are those of the library that it has loaded by then. */
async function told(program: string, { cwd = root, env = {} } = {}): Promise<unknown> {
  const before = `
    const require = process.getBuiltinModule('node:module').createRequire('${cwd}/program.js')
    const files = () => Object.keys(require.cache).flatMap((file) => /dist.cjs.(.*)\\.js$/.exec(file)?.[1] ?? []).sort()
    const builtins = new Set(process.moduleLoadList)
    const tell = (fact) => console.log(JSON.stringify(fact))`
  const args = ['--input-type=module', '--eval', `${before}\n${program}`]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    timeout: 120_000,
  })
  return JSON.parse(stdout)
}

const bytesOf = (files: readonly string[]) =>
  files.reduce((sum, file) => sum + statSync(join(code, `${file}.js`)).size, 0)

/**
 * What loading may read. Who needs more finds out whether all programs need it. Where others may look on is 0.6 kB of what all share, and as
 * much in each room: only that it is asked for, not what is done then.
 */
const loads = [
  { how: "require('millrace')", files: ['index', 'shared'], most: 78_500 },
  {
    how: "await import('millrace')",
    files: ['cell', 'frames', 'index', 'record-consumer', 'record-producer', 'select', 'shared'],
    most: 128_500,
  },
  { how: "require('millrace/sync')", files: ['shared', 'sync'], most: 68_500 },
  { how: "require('millrace/resilience')", files: ['resilience', 'shared'], most: 77_500 },
  { how: "require('millrace/dashboard')", files: ['dashboard', 'shared'], most: 79_500 },
  { how: "require('millrace/telemetry')", files: ['shared', 'telemetry'], most: 92_500 },
  { how: "require('millrace/topics')", files: ['shared', 'topics'], most: 101_500 },
  { how: "require('millrace/work')", files: ['shared', 'work'], most: 116_500 },
  { how: "require('millrace/recording')", files: ['recording', 'shared'], most: 105_000 },
  { how: "require('millrace/struct')", files: ['shared', 'struct'], most: 79_500 },
]

for (const { how, files, most } of loads) {
  test(`${how} reads ${files.join(', ')}, and no more than ${String(most)} bytes`, async (t) => {
    t.deepEqual(await told(`${how}; tell(files())`), files)
    const bytes = bytesOf(files)
    t.true(
      bytes <= most,
      `${String(bytes)} bytes: may a part of it be loaded by those that use it?`,
    )
  })
}

test('loading asks Node for no module that it has not loaded itself', async (t) => {
  // The loader of packages has modules of its own.
  const added = `[...process.moduleLoadList].filter((name) => !builtins.has(name) && !/ internal.modules/.test(name))`
  t.deepEqual(await told(`require('millrace'); tell(${added})`), [])
  const control = `process.getBuiltinModule('node:readline'); tell(${added}.length > 0)`
  t.true(await told(control), 'it would have been seen')
})

test('what is used brings the part that it needs', async (t) => {
  const name = uniqueName(t)
  const steps: Readonly<Record<string, string>> = {
    frames: 'library.FrameWriter',
    cell: 'library.Cell',
    select: 'library.select',
    rings: `library.SpscQueue.producer('${name}').close()`,
    latency: `library.SpscQueue.producer('${name}', { stats: true }).close()`,
    'record-producer': `library.RecordQueue.producer('${name}', { record: schema }).close()`,
    'record-consumer': `library.RecordQueue.consumer('${name}', { record: schema }).close({ discard: true })`,
    'value-producer': `library.SpscQueue.producer('${name}', { schema }).close()`,
    'value-consumer': `library.SpscQueue.consumer('${name}', { schema }).close({ discard: true })`,
    'value-writer': `library.Cell.writer('${name}', { schema }).close()`,
    fill: `await library.FrameWriter.create('${name}', { slotBytes: 1 }).fill([]).catch(() => undefined)`,
    'fill-from': `await library.SpscQueue.producer('${name}').fillFrom(-1).catch(() => undefined)`,
    'hand-over': `await library.receiveSegments('').catch(() => undefined)`,
  }
  const seen = await told(`
    const library = require('millrace')
    const { struct, u32 } = require('millrace/struct')
    const schema = struct({ number: u32 })
    const known = new Set(files())
    const brought = {}
    for (const [part, run] of [${Object.entries(steps)
      .map(([part, step]) => `['${part}', async () => { ${step} }]`)
      .join()}]) {
      await run()
      brought[part] = files().filter((file) => !known.has(file))
      for (const file of files()) known.add(file)
    }
    tell(brought)`)
  t.deepEqual(seen, {
    ...Object.fromEntries(Object.keys(steps).map((part) => [part, [part]])),
    // Either side of a queue of records brings what its structure needs for it.
    'record-producer': ['record-producer', 'ring-records'],
  })
  const others = [
    'addresses',
    'amqp',
    'dashboard',
    'fill-loan',
    'gateway',
    'group',
    'grpc',
    'kafka',
    'many-calls',
    'nats',
    'net',
    'net-conformance',
    'pipeline-streams',
    'proto',
    'recording',
    'redis',
    'remote',
    'ring-records',
    'index',
    'resilience',
    'rpc',
    'shared',
    'spans',
    'streams',
    'struct',
    'sync',
    'telemetry',
    'topics',
    'traced',
    'traced-calls',
    'traced-topics',
    'traced-work',
    'work',
    'zeromq',
    'search',
    'life-facts',
    'load-failure',
    'own-timers',
    'python-module',
  ]
  const all = readdirSync(code).flatMap((file) => (file.endsWith('.js') ? [file.slice(0, -3)] : []))
  t.deepEqual(
    all.sort(),
    [...others, ...Object.keys(steps)].sort(),
    'of each it is known who loads it',
  )
})

test('what is exported of a part is an ordinary property once it was read, and can be replaced before', async (t) => {
  const seen = await told(`
    const library = require('millrace')
    const { Frame } = library
    library.Cell = 'a double'
    tell([
      library.Frame === Frame,
      Object.getOwnPropertyDescriptor(library, 'Frame').writable,
      library.Cell,
      Object.keys(library).sort().join() === Object.keys(await import('millrace')).sort().join(),
    ])`)
  t.deepEqual(seen, [true, true, 'a double', true])
})

test('a part belongs to the library that loads it, also where what was loaded is forgotten', async (t) => {
  const name = uniqueName(t)
  const seen = await told(`
    const { QueueProducer, Cell, CellWriter, SpscQueue, MillraceError } = require('millrace')
    const { struct, u32 } = require('millrace/struct')
    for (const file of Object.keys(require.cache)) delete require.cache[file]
    const schema = struct({ number: u32 })
    using(SpscQueue.producer('${name}', { schema }), (producer) => {
      let refused
      try { producer.tryPush('of another length') } catch (error) { refused = error }
      using(Cell.writer('${name}', { schema }), (writer) => {
        tell([
          producer instanceof QueueProducer, writer instanceof CellWriter, refused instanceof MillraceError,
          require('millrace').QueueProducer === QueueProducer,
        ])
      })
    })
    function using(handle, use) { try { use(handle) } finally { handle.close() } }`)
  t.deepEqual(seen, [true, true, true, false])
})

/** A project with the package as it is installed, without the package that searches for binaries. */
function project(t: ExecutionContext): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'millrace-start-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const installed = join(folder, 'node_modules/millrace')
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(installed, part), { recursive: true })
  const place = join(installed, 'prebuilds', `${process.platform}-${process.arch}`)
  mkdirSync(place, { recursive: true })
  const flavour = process.platform === 'linux' ? `.${libc()}` : ''
  cpSync(join(root, 'build/Release/millrace.node'), join(place, `millrace${flavour}.node`))
  return folder
}

const outcome = `
  let said = 'loaded'
  try { require('millrace') } catch (error) { said = error.message }
  tell([said, files()])`

test('the binary that the package brings is loaded by its name, without a search', async (t) => {
  const cwd = project(t)
  const direct = ['loaded', ['index', 'shared']]
  t.deepEqual(await told(outcome, { cwd }), direct)
  t.deepEqual(await told(outcome, { cwd, env: { PREBUILDS_ONLY: '1' } }), direct)
  t.deepEqual(await told(outcome, { cwd, env: { npm_config_arch: 'other', LIBC: 'musl' } }), direct)
})

test('unless something speaks for another one', async (t) => {
  const cwd = project(t)
  const installed = join(cwd, 'node_modules/millrace')
  const searched = async (env: Record<string, string>) => {
    const [said, files] = (await told(outcome, { cwd, env })) as [string, string[]]
    t.regex(said, /node-gyp-build/)
    t.true(files.includes('search'))
  }
  await searched({ MILLRACE_PREBUILD: installed })
  mkdirSync(join(installed, 'build/Debug'), { recursive: true })
  writeFileSync(join(installed, 'build/Debug/millrace.node'), 'for debugging')
  await searched({})
})
