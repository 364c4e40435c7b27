// Bundles the library: the entry points, the parts and rooms, and what all of them share.

import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { build } from 'esbuild'

import { asCommonJs, strict } from './common-js.mjs'
import {
  common,
  dist,
  entries,
  filesOf,
  handedOn,
  isPart,
  isShared,
  modules,
  names,
  parts,
  publicNames,
  rooms,
  root,
} from './modules.mjs'
import { fromOthers, listed, withoutRooms, withParts } from './sources.mjs'

export async function bundleLibrary() {
  const cjs = {
    ...common,
    format: 'esm',
    write: false,
    minifyWhitespace: true,
    // Writes constants of a module into those that use them.
    minifySyntax: true,
    // Node prints the line that an error was thrown in.
    lineLimit: 120,
    banner: { js: strict },
    // The code looks for the addon from the folder of its module: dist/addon.
    define: { 'import.meta.dirname': 'addon', 'import.meta.url': 'url' },
  }
  mkdirSync(`${dist}/cjs`, { recursive: true })
  const inRooms = rooms.map((room) => [room, filesOf(room).flatMap(publicNames)])
  const inParts = handedOn()
    .filter((file) => parts.has(file))
    .map((part) => [basename(part, '.js'), publicNames(part)])
  const later = [...inRooms, ...inParts]
  const eager = names.index.filter((name) => !later.some(([, theirs]) => theirs.includes(name)))
  const index = listed(eager, [`${dist}/index.js`])
  const users = [
    { file: 'index', ...index, plugins: [...index.plugins, withoutRooms] },
    ...inRooms.map(([room, theirs]) => ({ file: room, ...listed(theirs, filesOf(room)) })),
    ...entries
      .filter((entry) => entry !== 'index')
      .map((entry) => ({ file: entry, entryPoints: [`${dist}/${entry}.js`] })),
    ...[...parts].map((part) => ({ file: basename(part, '.js'), entryPoints: [part] })),
  ].map(async ({ file, plugins = [], ...source }) => {
    const user = { ...cjs, ...source, outfile: `dist/cjs/${file}.js` }
    const others = [...plugins, withParts]
    const taken = takenBy(await build({ ...user, plugins: [...others, fromOthers(isPart(file))] }))
    const { metafile } = await build({
      ...user,
      plugins: [...others, fromOthers(isPart(file), taken), asCommonJs(file, later)],
    })
    return { bundle: [file, metafile], shared: [...taken.shared] }
  })
  const bundles = await Promise.all(users)
  judgeCopies(bundles.map(({ bundle }) => bundle))
  const shared = new Set(bundles.flatMap((one) => one.shared))
  const { plugins, ...source } = listed(shared, [...modules.keys()].filter(isShared))
  await build({
    ...cjs,
    ...source,
    outfile: 'dist/cjs/shared.js',
    plugins: [...plugins, withParts, asCommonJs('shared')],
  })
  // Only now: it is written over its own source, which the bundles are made of.
  await build({
    ...common,
    format: 'esm',
    entryPoints: ['dist/addon/binary.js'],
    outdir: 'dist/addon',
    allowOverwrite: true,
  })
  removeModules()
}

/** The names that are taken from each other file, read off the statements that take them. */
function takenBy({ outputFiles }) {
  const taken = { shared: new Set(), index: new Set() }
  for (const { path, text } of outputFiles) {
    if (!path.endsWith('.js')) continue
    for (const [, list, file] of text.matchAll(/\bimport\{([^}]*)\}from"\.\/(\w+)\.js"/g)) {
      for (const name of list.split(',')) taken[file].add(name.trim().split(/\s+as\s+/)[0])
    }
  }
  const hidden = [...taken.index].filter((name) => !names.index.includes(name))
  if (hidden.length > 0)
    throw new Error(`a part takes ${hidden.join()}, which index.ts does not export`)
  return taken
}

/** What has a state, or a class, must not be there twice. */
function judgeCopies(bundles) {
  const seen = new Map()
  for (const [file, { inputs }] of bundles) {
    for (const input of Object.keys(inputs)) {
      if (!/^(?:export )?(?:let|class) /m.test(modules.get(root + input) ?? '')) continue
      if (seen.has(input)) throw new Error(`${input} is in ${seen.get(input)} and in ${file}`)
      seen.set(input, file)
    }
  }
}

/** What is in the bundles now, and modules of nothing but types, which are in none. */
function removeModules() {
  for (const file of readdirSync(dist, { recursive: true })) {
    if (!file.endsWith('.js') || /^(?:cjs|cli|page)\//.test(file) || file === 'addon/binary.js')
      continue
    rmSync(`${dist}/${file}`)
    rmSync(`${dist}/${file}.map`, { force: true })
  }
}
