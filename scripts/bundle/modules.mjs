// What the compiler wrote, and into which file of the package each of its modules goes.

import { readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const dist = `${root}dist`
export const entries = [
  'dashboard',
  'gateway',
  'index',
  'net',
  'net-conformance',
  'recording',
  'remote',
  'resilience',
  'rpc',
  'streams',
  'struct',
  'sync',
  'telemetry',
  'topics',
  'work',
]
/** What the entry points share: the floors below them. */
const sharedFolders = ['addon', 'base', 'place']
const sharedFiles = ['errors']
/** Rooms that are parts of `index`: whoever sends messages does without them. */
export const rooms = ['frames', 'cell', 'select']

export const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
}

/** How a part is loaded. */
export const required = /\brequire\('(\.[^']+\.js)'\)/g

/** The compiler's modules: the text of each by its path. */
export const modules = readModules()
const loaded = requiredModules()
/** The paths of the parts. */
export const parts = new Set(
  loaded.flatMap(({ entry, path }) => (entry === undefined ? [path] : [])),
)
/** Modules that a function loads with all of another entry point: by their paths, which one it is. */
export const inEntries = new Map(
  loaded.flatMap(({ entry, path }) => (entry === undefined ? [] : [[path, entry]])),
)
/** Of each entry point, what it exports. */
export const names = await exportedNames()

export const isShared = (file) =>
  !parts.has(file) &&
  (sharedFolders.includes(basename(dirname(file))) ||
    sharedFiles.some((name) => file === `${dist}/${name}.js`))

/** Is it a part, by the name of its file in dist/cjs? */
export const isPart = (file) => [...parts].some((part) => basename(part, '.js') === file)

/** In the code, parts are loaded by a function each: `./value-writer.js` by `__valueWriter()`. */
export const loaderOf = (part) =>
  `__${basename(part, '.js').replace(/-(.)/g, (_, letter) => letter.toUpperCase())}`

/** What of this module `index` exports. */
export const publicNames = (file) =>
  Array.from(
    modules.get(file).matchAll(/^export (?:async )?(?:class|const|function) (\w+)/gm),
    ([, name]) => name,
  ).filter((name) => names.index.includes(name))

export const filesOf = (room) =>
  [...modules.keys()].filter((file) => dirname(file) === `${dist}/${room}` && !parts.has(file))

/** The modules that `index` exports something of. */
export function handedOn() {
  const from = modules.get(`${dist}/index.js`).matchAll(/ from '(\.[^']+)'/g)
  return Array.from(from, ([, path]) => resolve(dist, path))
}

function readModules() {
  const files = readdirSync(dist, { recursive: true })
    .filter((file) => file.endsWith('.js') && !/^(?:cjs|cli|demo|page)\//.test(file))
    .map((file) => `${dist}/${file}`)
  return new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))
}

function requiredModules() {
  return [...modules].flatMap(([file, text]) =>
    Array.from(text.matchAll(required), ([, target]) => {
      const path = resolve(dirname(file), target)
      const room = basename(dirname(path))
      const entry = room === 'queue' || rooms.includes(room) ? 'index' : room
      const isOther = dirname(path) !== dirname(file) && entries.includes(entry)
      return { path, entry: isOther ? entry : undefined }
    }),
  )
}

async function exportedNames() {
  const { metafile } = await build({
    ...common,
    format: 'esm',
    write: false,
    outdir: 'dist',
    entryPoints: entries.map((entry) => `dist/${entry}.js`),
  })
  return Object.fromEntries(
    entries.map((entry) => [entry, metafile.outputs[`dist/${entry}.js`].exports]),
  )
}
