// Package managers install the package from a registry (registry.mjs), with their defaults, again and again, beside
// another package, and out of their lock files. None may say anything about scripts or compile anything. They may put
// packages elsewhere, and one leaves out node_modules altogether.

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { exchange } from './exchange.mjs'
import { succeed } from './process.mjs'
import { compiling, hear, hearNothing, other } from './silence.mjs'
import { copyOf, here, root, runtimes } from './site.mjs'

const node = join(runtimes, 'node22/bin/node')
const bun = join(runtimes, '@oven/bun-linux-x64/bin/bun')
const npm = (name) => [node, join(runtimes, name, 'bin/npm-cli.js')]
const pnpm = (name, file) => [node, join(runtimes, name, 'bin', file)]
const yarn = [node, join(runtimes, '@yarnpkg/cli-dist/bin/yarn.js')]

const bothSides = [
  [node, 'main.mjs'],
  [node, 'main.cjs'],
]
const npmCommands = { add: ['install'], again: ['install'], anew: ['ci'] }
const pnpmCommands = {
  add: ['add', '--store-dir', './store'],
  again: ['install', '--store-dir', './store'],
  anew: ['install', '--frozen-lockfile', '--store-dir', './store'],
}
const yarnCommands = { add: ['add'], again: ['install'], anew: ['install', '--immutable'] }

const installers = [
  {
    name: 'npm',
    package: 'npm',
    command: npm('npm'),
    ...npmCommands,
    scripts: ['install-scripts', 'ls'],
    sides: bothSides,
  },
  {
    name: 'npm12',
    package: 'npm12',
    command: npm('npm12'),
    ...npmCommands,
    scripts: ['install-scripts', 'ls'],
    sides: bothSides,
  },
  {
    name: 'pnpm',
    package: 'pnpm',
    command: pnpm('pnpm', 'pnpm.cjs'),
    ...pnpmCommands,
    scripts: ['ignored-builds'],
    sides: bothSides,
  },
  {
    name: 'yarn',
    package: '@yarnpkg/cli-dist',
    command: yarn,
    ...yarnCommands,
    env: (folder, registry) => yarnEnvironment(folder, registry, 'node-modules'),
    sides: bothSides,
  },
  {
    name: 'yarn-pnp',
    package: '@yarnpkg/cli-dist',
    command: yarn,
    ...yarnCommands,
    env: (folder, registry) => yarnEnvironment(folder, registry, 'pnp'),
    sides: [
      [
        ...[node, '--no-warnings', '--require', './.pnp.cjs'],
        ...['--experimental-loader', './.pnp.loader.mjs', 'main.mjs'],
      ],
      [node, '--require', './.pnp.cjs', 'main.cjs'],
    ],
    how: "Plug'n'Play (no node_modules), ",
  },
  {
    name: 'bun-add',
    package: '@oven/bun-linux-x64',
    command: [bun],
    add: ['add'],
    again: ['install'],
    anew: ['install', '--frozen-lockfile'],
    scripts: ['pm', 'untrusted'],
    env: (folder) => ({ BUN_INSTALL_CACHE_DIR: join(folder, 'cache') }),
    sides: [[bun, 'run', 'main.mjs']],
  },
]

const common = { host: 'linux-x64', binary: 'linux-x64/millrace.glibc.node' }
const versionOf = (name) => JSON.parse(readFileSync(join(runtimes, name, 'package.json'))).version

export const installerCases = [
  ...installers.map(({ name, package: manager, how = '', ...installer }) => ({
    name: `install/${name}`,
    what: `${how}ten installations, beside another, from the lock file: not a word`,
    ...common,
    async run({ scratch, registry }) {
      const folder = join(scratch, `install-${name}`)
      await installSilently(folder, registry, installer)
      if (existsSync(join(folder, 'node_modules/millrace/build')))
        throw new Error('it was compiled')
      cpSync(join(here, 'programs'), folder, { recursive: true })
      for (const left of installer.sides) await exchange({ left, cwd: folder })
      return { runtime: `${name} ${versionOf(manager)}`, platform: 'linux-x64 glibc' }
    },
  })),
  {
    name: 'install/told',
    what: 'npm does tell of a package that has a binding.gyp: so the silence means something',
    ...common,
    async run({ scratch, registry }) {
      const folder = join(scratch, 'install-told')
      registry.configure(folder)
      const options = { cwd: folder }
      await hear([...npm('npm'), 'install', compiling], options)
      const again = await hear([...npm('npm'), 'install'], options)
      const told = new RegExp(`${compiling}@1\\.0\\.0 \\(install: node-gyp rebuild\\)`)
      if (!told.test(again)) throw new Error(`the second npm install said: ${again}`)
      return { runtime: `npm ${versionOf('npm')}`, platform: 'linux-x64 glibc' }
    },
  },
  {
    name: 'install/from-source',
    what: 'npx millrace build, in a package without binaries; then import',
    host: 'linux-x64',
    needs: ['g++', 'make', 'python3'],
    async run({ scratch, registry }) {
      const folder = join(scratch, 'install-from-source')
      registry.configure(folder)
      // npx of the npm that comes with the Node that runs this: it knows where that one's headers are.
      await succeed(['npm', 'install', 'millrace'], { cwd: folder, seconds: 120, npm: true })
      const installed = join(folder, 'node_modules/millrace')
      rmSync(join(installed, 'prebuilds'), { recursive: true })
      cpSync(join(here, 'programs'), folder, { recursive: true })
      const before = filesOf(installed)
      const said = await succeed(['npx', 'millrace', 'build'], {
        cwd: folder,
        seconds: 600,
        npm: true,
      })
      const built = join(folder, 'node_modules/millrace/build/Release/millrace.node')
      if (said.trim() !== built || !existsSync(built)) throw new Error(`it said ${said}`)
      const added = filesOf(installed).filter((file) => !before.includes(file))
      if (added.join() !== 'build/Release/millrace.node') throw new Error(`it left ${added}`)
      await exchange({ left: [process.execPath, 'main.mjs'], cwd: folder })
      return { runtime: `Node ${process.versions.node}`, platform: 'linux-x64 glibc' }
    },
  },
  {
    name: 'install/prebuild-host',
    what: 'npm run prebuild:host makes a binary that is found like the others',
    host: 'linux-x64',
    needs: ['g++', 'make', 'python3'],
    async run({ app }) {
      const folder = copyOf(app, 'prebuild-host')
      const installed = join(folder, 'node_modules/millrace')
      rmSync(join(installed, 'prebuilds'), { recursive: true })
      const command = [process.execPath, 'scripts/prebuild-host.mjs', '--out', installed]
      await succeed(command, { cwd: root, seconds: 600, npm: true })
      await exchange({ left: [process.execPath, 'main.mjs'], cwd: folder })
      return { runtime: `Node ${process.versions.node}`, platform: 'linux-x64 glibc' }
    },
  },
]

const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))

async function installSilently(folder, registry, installer) {
  const { command, add, again, anew, scripts, env = () => ({}) } = installer
  registry.configure(folder)
  // Else Yarn looks for a project further up.
  if (command === yarn) writeFileSync(join(folder, 'yarn.lock'), '')
  const own = (part) => join(folder, part)
  const options = {
    cwd: folder,
    env: {
      XDG_CACHE_HOME: own('xdg/cache'),
      XDG_DATA_HOME: own('xdg/data'),
      XDG_STATE_HOME: own('xdg/state'),
      NO_COLOR: '1',
      npm_config_userconfig: own('nobody.npmrc'), // npm also tells what it thinks of the user's
      ...env(folder, registry),
    },
  }
  const tell = (...args) => hearNothing([...command, ...args], options)
  await tell(...add, 'millrace')
  for (let time = 2; time <= 10; time++) await tell(...again)
  await tell(...add, other)
  rmSync(own('node_modules'), { recursive: true, force: true })
  await tell(...anew)
  if (scripts === undefined) return
  // The question itself is about scripts; the answer must not be about us.
  const listed = await hear([...command, ...scripts], options)
  if (/millrace/.test(listed)) throw new Error(`${scripts.join(' ')} said: ${listed}`)
}

/** The cache is to be ours; a project without a lock file is to get one. */
function yarnEnvironment(folder, registry, linker) {
  return {
    YARN_NPM_REGISTRY_SERVER: registry.url.replace(/\/$/, ''),
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_NODE_LINKER: linker,
    YARN_CACHE_FOLDER: join(folder, 'cache'),
    YARN_ENABLE_GLOBAL_CACHE: 'false',
    YARN_ENABLE_TELEMETRY: 'false',
  }
}
