// The musl binary under musl's own loader. npm has no Node for musl that runs here (they need a libstdc++ for musl), so a
// small program in C stands in: musl/engine.c answers the Node-API calls, musl/host.c does what a producer and a
// consumer do. The other side may also be Node on glibc: what lies in shared memory is the same.

import { join } from 'node:path'
import { expected } from './programs/story.mjs'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { here, runtimes } from './site.mjs'

const binary = 'linux-x64/millrace.musl.node'
const loader = '/lib/ld-musl-x86_64.so.1'
const node = [join(runtimes, 'node22/bin/node'), 'plain.mjs']
const common = { host: 'linux-x64', binary, needs: ['musl', 'musl-tools', 'gcc'] }

let compiled

/** The host program; compiled once. */
function host(scratch) {
  const program = join(scratch, 'musl-host')
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
  compiled ??= succeed(['musl-gcc', ...flags, ...headers, '-o', program, ...sources, '-pthread'])
  return compiled.then(() => program)
}

const meetings = [
  { name: 'musl/musl', left: 'musl', right: 'musl', what: 'the core through Node-API stubs' },
  {
    name: 'musl/to-glibc',
    left: 'musl',
    right: 'glibc',
    what: 'musl sends, Node on glibc receives',
  },
  {
    name: 'musl/from-glibc',
    left: 'glibc',
    right: 'musl',
    what: 'Node on glibc sends, musl receives',
  },
]

export const muslCases = [
  {
    name: 'musl/load',
    what: 'module registered; lock, counter, semaphore, cell, memory, list',
    ...common,
    async run({ app, scratch }) {
      const name = newName()
      const command = [loader, await host(scratch), addonIn(app), 'all', name]
      const said = JSON.parse(await succeed(command))
      assertClean(name)
      if (said.all !== true) throw new Error(JSON.stringify(said))
      return row()
    },
  },
  ...meetings.map(({ name: title, left, right, what }) => ({
    name: title,
    what: `${what}; one side killed`,
    ...common,
    async run({ app, scratch }) {
      const program = [loader, await host(scratch), addonIn(app)]
      const name = newName()
      const side = (kind, role) =>
        run([...(kind === 'musl' ? program : node), role, name], { cwd: app })
      const [sent, received] = await Promise.all([side(left, 'produce'), side(right, 'consume')])
      assertClean(name)
      const { digest, ending } = JSON.parse(received.stdout || '{}')
      if (
        sent.signal !== 'SIGKILL' ||
        sent.timedOut ||
        received.code !== 0 ||
        digest !== expected().digest ||
        ending !== 'ERR_MILLRACE_PEER_GONE'
      ) {
        throw new Error(`left: ${describe(sent)}\n  right: ${describe(received)}`)
      }
      return row()
    },
  })),
]

const row = () => ({ runtime: 'C host, Node-API stubs', platform: 'linux-x64 musl' })
const addonIn = (app) => join(app, 'node_modules/millrace/prebuilds', binary)

function assertClean(name) {
  const behind = leftBehind(name)
  if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
}
