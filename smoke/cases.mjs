// All that is run: a name for --only, what it shows, what it needs, and how it is done. `run` returns the row's runtime,
// platform and, if it differs from `what`, its result; it throws what went wrong.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleCases } from './bundles.mjs'
import { copyCases } from './copies.mjs'
import { darwinCases } from './darwin.mjs'
import { electronCases } from './electron.mjs'
import { exchange } from './exchange.mjs'
import { featuresTitle, tellFeatures } from './features.mjs'
import { lifecycleTitle, tellLifecycles } from './lifecycle.mjs'
import { muslArm64IsHere, muslCases } from './musl.mjs'
import { installerCases } from './installers.mjs'
import { messagesTitle, tellMessages } from './messages.mjs'
import { succeed } from './process.mjs'
import { host, runtimes } from './site.mjs'
import { translatedCases } from './translated.mjs'
import { typedExchange, typeCases } from './types.mjs'
import { tellWork, workTitle } from './work.mjs'

const glibc = 'linux-x64/millrace.glibc.node'
const x64 = { host: 'linux-x64', binary: glibc, platform: 'linux-x64 glibc' }
const node = (name) => [join(runtimes, name, 'bin/node')]

/** Of a package in smoke/node_modules; known once these are installed. */
const versionOf = (name) =>
  JSON.parse(readFileSync(join(runtimes, name, 'package.json'), 'utf8')).version.replace(/^v/, '')

/** Runtimes that tell the story in each form of loading. */
const told = [
  { name: 'node20', title: () => `Node ${versionOf('node20')}`, command: node('node20'), ...x64 },
  {
    name: 'node22',
    title: () => `Node ${versionOf('node22')}`,
    command: node('node22'),
    ...x64,
    types: true,
  },
  {
    name: 'node24',
    title: () => `Node ${versionOf('node24')}`,
    command: node('node24'),
    ...x64,
    types: true,
    knowsUsing: true,
  },
  {
    name: 'node26',
    title: () => `Node ${versionOf('node26')}`,
    command: node('node26'),
    ...x64,
    types: true,
    knowsUsing: true,
  },
  {
    name: 'bun',
    title: () => `Bun ${versionOf('@oven/bun-linux-x64')}`,
    command: [join(runtimes, '@oven/bun-linux-x64/bin/bun'), '--no-install', 'run'],
    // Of a rejection that nobody handles it tells nobody.
    exits: { unhandledRejection: 'nothing' },
    ...x64,
    types: true,
    knowsUsing: true,
  },
  {
    name: 'deno',
    title: () => `Deno ${versionOf('@deno/linux-x64-glibc')}`,
    command: [
      join(runtimes, '@deno/linux-x64-glibc/deno'),
      'run',
      '-A',
      '--no-prompt',
      '--no-remote',
    ],
    // Its terminate() does not wait for the worker's end: a process that ends right afterwards cuts it short.
    terminated: ['end', 'ERR_MILLRACE_PEER_GONE'],
    env: { DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
    ...x64,
    types: true,
    knowsUsing: true,
  },
  {
    name: 'arm64',
    title: () => `Node ${versionOf('node-arm64')} (qemu)`,
    command: ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', ...node('node-arm64')],
    host: 'linux-x64',
    binary: 'linux-arm64/millrace.glibc.node',
    platform: 'linux-arm64 glibc',
    needs: ['qemu-user-static', 'libstdc++6-arm64-cross'],
    seconds: 300,
  },
  {
    name: 'arm',
    title: () => `Node ${versionOf('node-arm')} (qemu)`,
    command: [
      ...['qemu-arm-static', '-L', '/usr/arm-linux-gnueabihf', ...node('node-arm')],
      ...['--require', './older-node.cjs'],
    ],
    host: 'linux-x64',
    binary: 'linux-arm/millrace.armv7.glibc.node',
    platform: 'linux-arm v7 glibc',
    needs: ['qemu-user-static', 'libstdc++6-armhf-cross', 'libatomic1-armhf-cross'],
    seconds: 300,
  },
  // Whatever runs this, for machines that the packages above do not fit.
  {
    name: 'this',
    title: () => `Node ${process.versions.node}`,
    command: [process.execPath],
    platform: `${host} (this machine)`,
    knowsUsing: Number(process.versions.node.split('.')[0]) >= 24,
    extra: host === 'linux-x64',
    own: true,
  },
]

const forms = [
  { form: 'import', file: 'main.mjs', what: 'import, main thread; one side killed' },
  { form: 'require', file: 'main.cjs', what: 'require, main thread; one side killed' },
  { form: 'worker', file: 'worker.mjs', what: 'workers; one side terminated', worker: true },
]

const storyCases = told.flatMap(
  ({
    name,
    title,
    command,
    platform,
    env,
    seconds,
    types,
    terminated,
    knowsUsing,
    exits,
    ...rest
  }) => [
    ...forms.map(({ form, file, what, worker }) => ({
      name: `${name}/${form}`,
      what,
      ...rest,
      async run({ app }) {
        const side = [...command, file]
        await exchange({ left: side, worker, terminated, cwd: app, env, seconds })
        return { runtime: title(), platform }
      },
    })),
    {
      name: `${name}/lifecycle`,
      what: lifecycleTitle,
      ...rest,
      async run({ app }) {
        await tellLifecycles(command, { cwd: app, env, seconds, exits })
        return { runtime: title(), platform }
      },
    },
    {
      name: `${name}/features`,
      what: featuresTitle,
      ...rest,
      async run({ app }) {
        await tellFeatures(command, { knowsUsing, cwd: app, env, seconds })
        return { runtime: title(), platform }
      },
    },
    {
      name: `${name}/work`,
      what: workTitle,
      ...rest,
      async run({ app }) {
        await tellWork(command, { cwd: app, env, seconds })
        return { runtime: title(), platform }
      },
    },
    {
      name: `${name}/messages`,
      what: messagesTitle,
      ...rest,
      async run({ app }) {
        await tellMessages(command, { cwd: app, env, seconds })
        return { runtime: title(), platform }
      },
    },
    ...(types
      ? [
          {
            name: `${name}/typescript`,
            what: 'a .ts file, run as it is',
            ...rest,
            async run({ app }) {
              await typedExchange([...command, 'typed.ts'], { cwd: app, env })
              return { runtime: title(), platform }
            },
          },
        ]
      : []),
  ],
)

const permissionCase = {
  name: 'deno/permissions',
  what: 'with the permissions that docs/install.md asks for, no others, and no fewer',
  host: 'linux-x64',
  binary: glibc,
  async run({ app }) {
    const { command, title, platform, env } = told.find(({ name }) => name === 'deno')
    const allow = ['--allow-ffi', '--allow-read', '--allow-env']
    const restricted = [command[0], 'run', ...allow, '--no-prompt', '--no-remote']
    for (const lacking of allow) await assertRefused(command[0], lacking, allow, { cwd: app, env })
    // Deno keeps /proc to those who may do everything.
    await tellLifecycles(restricted, { cwd: app, env, except: ['mapsAreReleased'] })
    return { runtime: title(), platform }
  },
}

/** Without one of them, the error names them all. */
async function assertRefused(deno, lacking, allow, options) {
  const left = allow.filter((flag) => flag !== lacking)
  const program = `import('millrace').catch(({ code, message }) => console.log(code, message))`
  writeFileSync(join(options.cwd, 'refused.mjs'), program)
  const flags = [...left, '--no-prompt', '--no-remote']
  const said = await succeed([deno, 'run', ...flags, 'refused.mjs'], options)
  const named = allow.every((flag) => said.includes(flag))
  if (!said.startsWith('ERR_MILLRACE_PERMISSION ') || !named)
    throw new Error(`without ${lacking} it said ${said}`)
}

/** Two runtimes meet: what one writes the other reads. */
const meetings = [
  ['node20', 'bun'],
  ['deno', 'node26'],
  ['bun', 'deno'],
  ['node22', 'arm64'],
  ['arm64', 'node24'],
  ['node24', 'arm'], // 64 bits and 32
  ['arm', 'bun'],
].map(([left, right]) => {
  const [one, other] = [left, right].map((name) => told.find((runtime) => runtime.name === name))
  return {
    name: `meet/${left}-${right}`,
    what: 'each side another runtime',
    host: 'linux-x64',
    binary: other.binary,
    needs: [...(one.needs ?? []), ...(other.needs ?? [])],
    async run({ app }) {
      await exchange({
        left: [...one.command, 'main.mjs'],
        right: [...other.command, 'main.mjs'],
        cwd: app,
        env: { ...one.env, ...other.env },
        seconds: 300,
      })
      const platform = [...new Set([one.platform, other.platform])].join(', ')
      return { runtime: `${one.title()}, ${other.title()}`, platform }
    },
  }
})

/** One process in one runtime, the others in another. */
const meetingsOf = (story, what, tell, pairs) =>
  pairs.map(([keeper, worker]) => {
    const [one, other] = [keeper, worker].map((name) =>
      told.find((runtime) => runtime.name === name),
    )
    return {
      name: `meet/${story}-${keeper}-${worker}`,
      what,
      host: 'linux-x64',
      binary: other.binary,
      needs: [...(one.needs ?? []), ...(other.needs ?? [])],
      async run({ app }) {
        const env = { ...one.env, ...other.env }
        await tell(one.command, { other: other.command, cwd: app, env, seconds: 300 })
        const platform = [...new Set([one.platform, other.platform])].join(', ')
        return { runtime: `${one.title()}, ${other.title()}`, platform }
      },
    }
  })
const storyMeetings = [
  ...meetingsOf('work', workTitle, tellWork, [
    ['node24', 'bun'],
    ['deno', 'node22'],
    ['bun', 'arm64'],
  ]),
  ...meetingsOf('messages', messagesTitle, tellMessages, [
    ['node24', 'bun'],
    ['deno', 'node22'],
    ['node20', 'arm64'],
  ]),
]

export const cases = [
  ...storyCases,
  permissionCase,
  ...meetings,
  ...storyMeetings,
  ...installerCases,
  ...copyCases,
  ...typeCases,
  ...translatedCases,
  ...bundleCases,
  ...electronCases,
  ...muslCases,
  ...darwinCases,
]

/** What a complete run leaves open, and why. */
export function notExecuted(chosen) {
  const ran = new Set(chosen.map(({ name }) => name))
  const unchosen = cases.filter(({ name, extra }) => !ran.has(name) && !extra)
  const open = {
    'Electron itself': 'its binary is no npm package; the refusal of external buffers is simulated',
    'the installer of Deno': 'it takes packages from a registry only; what npm installed is run',
    'Node for musl': 'npm has none that runs without a musl libstdc++; Alpine in CI runs the tests',
    'darwin-x64, darwin-arm64': 'needs macOS; the files are parsed here, CI runs the tests there',
    ...(muslArm64IsHere
      ? {}
      : { 'linux-arm64 musl': "needs Debian's musl:arm64 and Zig (docs/smoke.md); Alpine in CI" }),
  }
  if (unchosen.length > 0) {
    open[`${unchosen.length} cases`] = 'not chosen, or for another kind of machine than this one'
  }
  return open
}
