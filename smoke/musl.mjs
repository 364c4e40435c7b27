// The musl binaries under musl's own loader. npm has no Node for musl that runs here (they need a libstdc++ for musl), so a
// small program in C stands in: musl/engine.c answers the Node-API calls, musl/host.c does what a producer and a
// consumer do. The other side may also be Node on glibc: what lies in shared memory is the same.

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expected } from './programs/story.mjs'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { here, root, runtimes } from './site.mjs'

const node = [join(runtimes, 'node22/bin/node'), 'plain.mjs']

/** Zig: where ZIG says, as `npm run prebuild` installs it, or on PATH. */
const pinned = join(root, 'native/prebuild/node_modules/@zigc')
const zig = [
  process.env['ZIG'],
  join(pinned, 'linux-x64/bin/zig'),
  ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'zig')),
].find((file) => file !== undefined && existsSync(file))

/** Of Debian's package musl:arm64, which a machine with another processor rarely has. */
const arm64Loader = process.env['MUSL_ARM64_LOADER'] ?? '/lib/ld-musl-aarch64.so.1'

const processors = [
  {
    name: 'musl',
    platform: 'linux-x64 musl',
    binary: 'linux-x64/millrace.musl.node',
    loader: ['/lib/ld-musl-x86_64.so.1'],
    compiler: ['musl-gcc'],
    needs: ['musl', 'musl-tools', 'gcc'],
    seconds: 60,
  },
  {
    name: 'musl-arm64',
    platform: 'linux-arm64 musl (qemu)',
    binary: 'linux-arm64/millrace.musl.node',
    loader: ['qemu-aarch64-static', arm64Loader],
    compiler: [zig ?? 'zig', 'cc', '-target', 'aarch64-linux-musl', '-dynamic'],
    needs: ['qemu-user-static'],
    extra: zig === undefined || !existsSync(arm64Loader),
    seconds: 300,
  },
]

const meetings = [
  { form: 'musl', left: 'musl', right: 'musl', what: 'the core through Node-API stubs' },
  { form: 'to-glibc', left: 'musl', right: 'glibc', what: 'musl sends, Node on glibc receives' },
  { form: 'from-glibc', left: 'glibc', right: 'musl', what: 'Node on glibc sends, musl receives' },
]

export const muslArm64IsHere = !processors[1].extra

export const muslCases = processors.flatMap(
  ({ name: processor, platform, binary, loader, compiler, seconds, ...rest }) => {
    const compile = once((scratch) => compileHost(compiler, join(scratch, `host-${processor}`)))
    const command = async ({ app, scratch }) => [
      ...loader,
      await compile(scratch),
      join(app, 'node_modules/millrace/prebuilds', binary),
    ]
    const common = { host: 'linux-x64', binary, ...rest }
    const row = { runtime: 'C host, Node-API stubs', platform }
    return [
      {
        name: `${processor}/load`,
        what: 'module registered; lock, counter, semaphore, cell, memory, jobs, list',
        ...common,
        async run(site) {
          const name = newName()
          const said = await succeed([...(await command(site)), 'all', name], { seconds })
          assertClean(name)
          if (JSON.parse(said).all !== true) throw new Error(said)
          return row
        },
      },
      ...meetings.map(({ form, left, right, what }) => ({
        name: `${processor}/${form}`,
        what: `${what}; one side killed`,
        ...common,
        async run(site) {
          const program = await command(site)
          const name = newName()
          const side = (kind, role) =>
            run([...(kind === 'musl' ? program : node), role, name], { cwd: site.app, seconds })
          await judge(name, [side(left, 'produce'), side(right, 'consume')])
          return row
        },
      })),
    ]
  },
)

async function judge(name, sides) {
  const [sent, received] = await Promise.all(sides)
  assertClean(name)
  const { digest, ending } = received.code === 0 ? JSON.parse(received.stdout) : {}
  const killed = sent.signal === 'SIGKILL' && !sent.timedOut
  if (killed && digest === expected().digest && ending === 'ERR_MILLRACE_PEER_GONE') return
  throw new Error(`left: ${describe(sent)}\n  right: ${describe(received)}`)
}

async function compileHost(compiler, program) {
  const sources = ['engine.c', 'host.c'].map((file) => join(here, 'musl', file))
  const flags = [
    '-std=gnu11',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-DNAPI_VERSION=8',
    '-rdynamic',
  ]
  const headers = ['-isystem', join(runtimes, 'node-api-headers/include')]
  await succeed([...compiler, ...flags, ...headers, '-o', program, ...sources, '-pthread'], {
    seconds: 120,
    env: compiler[0].startsWith(pinned) ? { ZIG_LIB_DIR: join(pinned, 'lib') } : {},
  })
  return program
}

function once(make) {
  let made
  return (argument) => (made ??= make(argument))
}

function assertClean(name) {
  const behind = leftBehind(name)
  if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
}
