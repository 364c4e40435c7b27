// Package managers other than npm install the tarball, with their defaults: none of them runs scripts of dependencies, so
// nothing may have been compiled. They may put packages elsewhere, and one leaves out node_modules altogether.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exchange } from './exchange.mjs'
import { succeed } from './process.mjs'
import { here, runtimes } from './site.mjs'

const node = join(runtimes, 'node22/bin/node')
const bun = join(runtimes, '@oven/bun-linux-x64/bin/bun')

const installers = [
  {
    name: 'pnpm',
    package: 'pnpm',
    command: (tarball) => [
      ...[node, join(runtimes, 'pnpm/bin/pnpm.cjs'), 'add', tarball],
      ...['--store-dir', './store'],
    ],
    sides: [
      [node, 'main.mjs'],
      [node, 'main.cjs'],
    ],
    what: 'pnpm add; import and require',
  },
  {
    name: 'yarn-pnp',
    package: '@yarnpkg/cli-dist',
    command: (tarball) => [
      ...[node, join(runtimes, '@yarnpkg/cli-dist/bin/yarn.js')],
      ...['add', `millrace@file:${tarball}`],
    ],
    env: yarnEnvironment,
    sides: [
      [
        ...[node, '--no-warnings', '--require', './.pnp.cjs'],
        ...['--experimental-loader', './.pnp.loader.mjs', 'main.mjs'],
      ],
      [node, '--require', './.pnp.cjs', 'main.cjs'],
    ],
    what: "yarn add, Plug'n'Play (no node_modules); import and require",
  },
  {
    name: 'bun-add',
    package: '@oven/bun-linux-x64',
    command: (tarball) => [bun, 'add', tarball],
    env: () => ({ BUN_INSTALL_CACHE_DIR: './cache' }),
    sides: [[bun, 'run', 'main.mjs']],
    what: 'bun add; import',
  },
]

export const installerCases = installers.map(
  ({ name, package: manager, command, env = () => ({}), sides, what }) => ({
    name: `install/${name}`,
    what,
    host: 'linux-x64',
    binary: 'linux-x64/millrace.glibc.node',
    async run({ scratch, tarball }) {
      const folder = join(scratch, `install-${name}`)
      mkdirSync(folder)
      writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
      writeFileSync(join(folder, 'yarn.lock'), '') // else Yarn looks for a project further up
      await succeed(command(tarball), {
        cwd: folder,
        env: await env(folder),
        seconds: 300,
        npm: true,
      })
      if (existsSync(join(folder, 'node_modules/millrace/build'))) {
        throw new Error('it was compiled')
      }
      cpSync(join(here, 'programs'), folder, { recursive: true })
      for (const left of sides) await exchange({ left, cwd: folder })
      const manifest = join(runtimes, manager, 'package.json')
      const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
      return { runtime: `${name} ${version}`, platform: 'linux-x64 glibc' }
    },
  }),
)

/** Yarn does not read what npm is told of registries; the cache is to be ours, the lock file may be written. */
async function yarnEnvironment(folder) {
  const npm = async (key) => (await succeed(['npm', 'config', 'get', key], { npm: true })).trim()
  const authority = await npm('cafile')
  return {
    YARN_NPM_REGISTRY_SERVER: (await npm('registry')).replace(/\/$/, ''),
    ...(authority === 'null' ? {} : { YARN_HTTPS_CA_FILE_PATH: authority }),
    YARN_CACHE_FOLDER: join(folder, 'cache'),
    YARN_ENABLE_GLOBAL_CACHE: 'false',
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    YARN_ENABLE_TELEMETRY: 'false',
  }
}
