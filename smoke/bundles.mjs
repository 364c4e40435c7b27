// Bundlers: the configurations of docs/bundlers.md, as they stand there, bundle programs/main.mjs; the bundle is put into
// a folder that has the installed package and nothing else, and tells the story there.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exchange } from './exchange.mjs'
import { succeed } from './process.mjs'
import { copyOf, documented, lend, runtimes } from './site.mjs'

const node = join(runtimes, 'node22/bin/node')
const bun = join(runtimes, '@oven/bun-linux-x64/bin/bun')

const webpackRun = `
  import webpack from 'webpack'
  import config from './webpack.config.mjs'
  webpack(config, (error, stats) => {
    if (!error && !stats.hasErrors()) return
    console.error(error ?? stats.toString('errors-only'))
    process.exitCode = 1
  })
`

const vite = (config) => (folder) => [
  ...[node, join(folder, 'node_modules/vite/bin/vite.js'), 'build'],
  ...['--config', config, '--logLevel', 'warn'],
]

const bundlers = [
  {
    name: 'esbuild',
    package: 'esbuild',
    files: ['esbuild.mjs'],
    command: () => [node, 'esbuild.mjs'],
    written: ['main.mjs', 'main.cjs'],
  },
  {
    name: 'vite/ssr',
    package: 'vite',
    files: ['vite.ssr.config.mjs'],
    command: vite('vite.ssr.config.mjs'),
    written: ['main.mjs'],
  },
  {
    name: 'vite/lib',
    package: 'vite',
    files: ['vite.lib.config.mjs'],
    command: vite('vite.lib.config.mjs'),
    written: ['main.mjs', 'main.cjs'],
  },
  {
    name: 'webpack',
    package: 'webpack',
    files: ['webpack.config.mjs'],
    command: () => [node, '--input-type=module', '--eval', webpackRun],
    written: ['main.mjs', 'main.cjs'],
  },
  {
    name: 'bun-build',
    package: '@oven/bun-linux-x64',
    files: [],
    command: () => [
      ...[
        bun,
        'build',
        'main.mjs',
        '--target=node',
        '--external=millrace',
        '--external=millrace/*',
      ],
      '--outfile=out/main.mjs',
    ],
    written: ['main.mjs'],
  },
]

export const bundleCases = bundlers.map(({ name, package: lent, files, command, written }) => ({
  name,
  what: `a bundle (${written.map((file) => (file.endsWith('.cjs') ? 'CommonJS' : 'ESM')).join(', ')})`,
  host: 'linux-x64',
  binary: 'linux-x64/millrace.glibc.node',
  async run({ app, scratch }) {
    const folder = copyOf(app, `bundle-${name.replace('/', '-')}`)
    lend(folder, lent)
    for (const file of files)
      writeFileSync(join(folder, file), documented('docs/bundlers.md', file))
    await succeed(command(folder), { cwd: folder, seconds: 120, env: { NODE_ENV: 'production' } })

    const deployed = join(scratch, `deployed-${name.replace('/', '-')}`)
    mkdirSync(deployed)
    for (const part of ['millrace', 'node-gyp-build']) {
      const from = join(app, 'node_modules', part)
      cpSync(from, join(deployed, 'node_modules', part), { recursive: true })
    }
    for (const file of written) {
      cpSync(join(folder, 'out', file), join(deployed, file))
      assertOutside(join(deployed, file))
      await exchange({ left: [node, file], cwd: deployed })
    }
    const { version } = JSON.parse(readFileSync(join(runtimes, lent, 'package.json'), 'utf8'))
    return { runtime: `${name} ${version}`, platform: 'linux-x64 glibc' }
  },
}))

/** A bundle that had swallowed the package might work by luck. */
function assertOutside(file) {
  const text = readFileSync(file, 'utf8')
  if (!/["']millrace["']/.test(text)) throw new Error(`${file} does not load millrace`)
  if (text.includes('ERR_MILLRACE_')) throw new Error(`${file} contains millrace`)
}
