// Two copies of the package in one process, and two versions: the second of these has another version number and, where
// the repository has one, the addon that another compiler made (build/Release).

import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { copyOf, root, runtimes } from './site.mjs'

const node = (name) => [join(runtimes, name, 'bin/node')]
const runners = [
  { name: 'node20', command: node('node20') },
  { name: 'node26', command: node('node26') },
  { name: 'bun', command: [join(runtimes, '@oven/bun-linux-x64/bin/bun'), '--no-install', 'run'] },
  {
    name: 'deno',
    command: [join(runtimes, '@deno/linux-x64-glibc/deno'), 'run', '-A', '--no-prompt'],
  },
]
const common = { host: 'linux-x64', binary: 'linux-x64/millrace.glibc.node' }
const dist = (folder) => pathToFileURL(join(folder, 'node_modules/millrace/dist')).href

export const copyCases = [
  ...runners.map(({ name, command }) => ({
    name: `copies/${name}`,
    what: 'two copies of the package in one process, also in workers',
    ...common,
    async run({ app }) {
      await together(command, app, copyOf(app, `copy-${name}`))
      return { runtime: await versionOf(command), platform: 'linux-x64 glibc' }
    },
  })),
  ...runners.map(({ name, command }) => ({
    name: `versions/${name}`,
    what: 'two versions of the package in one process, also in workers',
    ...common,
    async run({ app }) {
      const other = copyOf(app, `version-${name}`)
      const manifest = join(other, 'node_modules/millrace/package.json')
      const contents = JSON.parse(readFileSync(manifest, 'utf8'))
      writeFileSync(manifest, JSON.stringify({ ...contents, version: '0.0.1' }))
      const compiled = join(root, 'build/Release/millrace.node')
      if (existsSync(compiled)) {
        rmSync(join(other, 'node_modules/millrace/prebuilds'), { recursive: true })
        cpSync(compiled, join(other, 'node_modules/millrace/build/Release/millrace.node'))
      }
      await together(command, app, other)
      return { runtime: await versionOf(command), platform: 'linux-x64 glibc' }
    },
  })),
  {
    name: 'repository/prebuilds-only',
    what: 'PREBUILDS_ONLY=1 in the repository takes the prebuilt file',
    ...common,
    async run() {
      const program = `
        const { SpscQueue } = await import('millrace')
        using queue = SpscQueue.consumer('${newName()}')
        const { readFileSync } = await import('node:fs')
        const maps = readFileSync('/proc/self/maps', 'utf8').match(/\\S+millrace\\S*\\.node/g)
        console.log([...new Set(maps)].join())
      `
      const command = [...node('node24'), '--input-type=module', '--eval', program]
      const loaded = await succeed(command, { cwd: root, env: { PREBUILDS_ONLY: '1' } })
      if (loaded.trim() !== join(root, 'prebuilds/linux-x64/millrace.glibc.node')) {
        throw new Error(`it loaded ${loaded}`)
      }
      return { runtime: await versionOf(node('node24')), platform: 'linux-x64 glibc' }
    },
  },
]

async function together(command, first, second) {
  const name = newName()
  const ending = await run([...command, 'copies.mjs', dist(first), dist(second), name], {
    cwd: first,
  })
  const behind = leftBehind(name)
  if (ending.code !== 0 || !ending.stdout.includes('versions')) throw new Error(describe(ending))
  if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
}

/** As it says itself: "v20.20.2", "1.4.5", "deno 2.9.6 (…)". */
async function versionOf([program]) {
  const [, version] = /(\d+\.\d+\.\d+)/.exec(await succeed([program, '--version'])) ?? []
  const title = program.endsWith('deno') ? 'Deno' : program.endsWith('bun') ? 'Bun' : 'Node'
  return `${title} ${version}`
}
