// What the bundler is told to read in the place of what is written there.

import { dirname, resolve } from 'node:path'

import {
  dist,
  isShared,
  loaderOf,
  modules,
  parts,
  publicNames,
  required,
  rooms,
  root,
} from './modules.mjs'

/** Every call as long as it was. */
export const withParts = {
  name: 'with-parts',
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/, namespace: 'file' }, ({ path }) => {
      const text = modules.get(path)
      return {
        contents: text?.replace(required, (call, part) =>
          `${loaderOf(part)}()`.padEnd(call.length),
        ),
        resolveDir: dirname(path),
      }
    })
  },
}

/**
 * What lies in another file is taken from there: no class of the library exists twice. Parts that a function loads take
 * from `index` what that exports. The names that are `taken` are so in one
 * statement for all modules; without them, to find out which they are, in one for each.
 */
export const fromOthers = (ofIndex, taken) => ({
  name: 'from-others',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\.?\//, namespace: 'file' }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path)
      if (parts.has(file)) return { errors: [{ text: `${path} is a part: load it by require` }] }
      const other = isShared(file)
        ? 'shared'
        : ofIndex && publicNames(file).length > 0
          ? 'index'
          : ''
      if (other === '') return undefined
      return taken === undefined
        ? { path: `./${other}.js`, external: true }
        : { path: other, namespace: 'other' }
    })
    onLoad({ filter: /^/, namespace: 'other' }, ({ path }) => ({
      contents: list(taken[path], `./${path}.js`),
    }))
    onResolve({ filter: /^/, namespace: 'other' }, ({ path }) => ({ path, external: true }))
  },
})

/** `index` alone: what it hands on of the rooms is added to its exports. */
export const withoutRooms = {
  name: 'without-rooms',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\// }, ({ path, importer }) => {
      if (importer !== `${dist}/index.js`) return undefined
      const isLater = rooms.includes(path.split('/')[1]) || parts.has(resolve(dist, path))
      return isLater ? { path, external: true, sideEffects: false } : undefined
    })
  },
}

/** What some modules export, as one module. */
const allOf = (files) => ({
  name: 'all-of',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^all$/ }, () => ({ path: 'all', namespace: 'all' }))
    onLoad({ filter: /^all$/, namespace: 'all' }, () => ({
      contents: files.map((file) => `export * from '${file}'`).join('\n'),
      resolveDir: root,
    }))
  },
})

/** A source that has these names of these modules. */
export function listed(names, files) {
  return { stdin: { contents: list(names, 'all'), resolveDir: root }, plugins: [allOf(files)] }
}

/**
 * The list of what is shared is no file, so its map says that it is the first line of lib/index.ts. Without one it would
 * be named as a source that nobody can open, and an empty map is ignored.
 */
const listMap = { version: 3, sources: ['../../lib/index.ts'], names: [], mappings: 'AAAA' }
const listMapComment = `//# sourceMappingURL=data:application/json,${encodeURIComponent(JSON.stringify(listMap))}`
const list = (names, from) =>
  `export {${[...names].sort().join()}} from '${from}'\n${listMapComment}`
