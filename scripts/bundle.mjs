// Makes what programs load out of what the compiler wrote. Every process pays for loading, so it is done
// in the cheapest form that Node has: CommonJS (the first import between ES modules costs a process 4 ms, a
// require 0.5 ms), one file for each entry point beside one for what they share, without blanks. Names
// stay, for the stack traces.
//
// What is read takes time, whether it runs or not. So what not every program uses is a part, a file of its own: a module that
// is loaded by `require('./module.js')` in the function that needs it; a room whose classes are loaded when somebody takes one
// out of what `require('millrace')` gives. What a part exports of the package is handed on in the same way.
//
//   dist/cjs/<entry>.js    the code; dist/cjs/shared.js is lib/errors.ts, lib/addon, lib/base and lib/place
//   dist/cjs/<part>.js     a function of what its loader has: where test runners forget what they have loaded, a part still
//                          belongs to the library that it was loaded by
//   dist/cjs/**/*.d.ts     the declarations once more: TypeScript tells the two kinds of modules apart
//   dist/<entry>.js        an ES module that hands on the names of the code above, so that a process has
//                          one library, however it was loaded
//   dist/addon/binary.js   for its test; dist/cli is the compiler's own
//   dist/demo/             the demonstration, with what it needs beside this package and the licences of that
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = `${root}dist`
const entries = ['index', 'streams', 'struct', 'sync', 'work']
/** What the entry points share: the floors below them. */
const sharedFolders = ['addon', 'base', 'place']
const sharedFiles = ['errors']
/** Rooms that are parts of `index`: whoever sends messages does without them. */
const rooms = ['frames', 'cell']

const common = {
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

const strict = '"use strict";'
const required = /\brequire\('(\.[^']+\.js)'\)/g
const isShared = (file) =>
  !parts.has(file) &&
  (sharedFolders.includes(basename(dirname(file))) ||
    sharedFiles.some((name) => file === `${dist}/${name}.js`))

/** In the code, parts are loaded by a function each: `./value-writer.js` by `__valueWriter()`. */
const loaderOf = (part) =>
  `__${basename(part, '.js').replace(/-(.)/g, (_, letter) => letter.toUpperCase())}`

/** Every call as long as it was. */
const withParts = {
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
const fromOthers = (ofIndex, taken) => ({
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

/** What of this module `index` exports. */
const publicNames = (file) =>
  Array.from(
    modules.get(file).matchAll(/^export (?:async )?(?:class|const|function) (\w+)/gm),
    ([, name]) => name,
  ).filter((name) => names.index.includes(name))

const filesOf = (room) =>
  [...modules.keys()].filter((file) => dirname(file) === `${dist}/${room}` && !parts.has(file))

/** `index` alone: what it hands on of the rooms is added to its exports. */
const withoutRooms = {
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

/** The demonstration shares the command's words for numbers and usage, where they lie in the package. */
const fromCommand = {
  name: 'from-command',
  setup({ onResolve }) {
    onResolve({ filter: /^#lib\// }, ({ path }) => ({
      path: path.replace('#lib/', '../'),
      external: true,
    }))
  },
}

/**
 * ES modules as CommonJS. The bundler's own way of writing that exports a getter for each name: they cost a process half
 * a millisecond to make, and each use of one as much as sending a small message.
 */
const asCommonJs = (file, later) => ({
  name: 'as-common-js',
  setup({ onEnd }) {
    onEnd(({ outputFiles }) => {
      for (const { path, text } of outputFiles)
        writeFileSync(
          path,
          path.endsWith('.js') ? rewritten(file, withOwnNames(text), later) : text,
        )
    })
  },
})

/**
 * The list of what is shared is no file, so its map says that it is the first line of lib/index.ts. Without one it would
 * be named as a source that nobody can open, and an empty map is ignored.
 */
const listMap = { version: 3, sources: ['../../lib/index.ts'], names: [], mappings: 'AAAA' }
const listMapComment = `//# sourceMappingURL=data:application/json,${encodeURIComponent(JSON.stringify(listMap))}`
const list = (names, from) =>
  `export {${[...names].sort().join()}} from '${from}'\n${listMapComment}`

const modules = readModules()
const parts = requiredModules()
const names = await exportedNames()
await bundle()
for (const entry of entries) writeFileSync(`${dist}/${entry}.js`, handOn(entry, names[entry]))
copyDeclarations()
await bundleDemo()
dropMapsOf('cli', /\.(?:js|d\.ts)$/)
for (const folder of ['addon', 'base']) dropMapsOf(folder, /\.d\.ts$/)

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

/** The compiler's modules: the text of each by its path. */
function readModules() {
  const files = readdirSync(dist, { recursive: true })
    .filter((file) => file.endsWith('.js') && !/^(?:cjs|cli|demo)\//.test(file))
    .map((file) => `${dist}/${file}`)
  return new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))
}

/** The paths of the parts. */
function requiredModules() {
  const found = [...modules].flatMap(([file, text]) =>
    Array.from(text.matchAll(required), ([, path]) => resolve(dirname(file), path)),
  )
  return new Set(found)
}

/** The modules that `index` exports something of. */
function handedOn() {
  const from = modules.get(`${dist}/index.js`).matchAll(/ from '(\.[^']+)'/g)
  return Array.from(from, ([, path]) => resolve(dist, path))
}

/** A source that has these names of these modules. */
function listed(names, files) {
  return { stdin: { contents: list(names, 'all'), resolveDir: root }, plugins: [allOf(files)] }
}

async function bundle() {
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
    ...['streams', 'struct', 'sync', 'work'].map((entry) => ({
      file: entry,
      entryPoints: [`${dist}/${entry}.js`],
    })),
    ...[...parts].map((part) => ({ file: basename(part, '.js'), entryPoints: [part] })),
  ].map(async ({ file, plugins = [], ...source }) => {
    const user = { ...cjs, ...source, outfile: `dist/cjs/${file}.js` }
    const isPart = [...parts].some((part) => basename(part, '.js') === file)
    const others = [...plugins, withParts]
    const taken = takenBy(await build({ ...user, plugins: [...others, fromOthers(isPart)] }))
    const { metafile } = await build({
      ...user,
      plugins: [...others, fromOthers(isPart, taken), asCommonJs(file, later)],
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
    if (!file.endsWith('.js') || /^(?:cjs|cli)\//.test(file) || file === 'addon/binary.js') continue
    rmSync(`${dist}/${file}`)
    rmSync(`${dist}/${file}.map`, { force: true })
  }
}

/** What the demonstration takes from others goes into its own files, so that nobody has to install it. */
async function bundleDemo() {
  const { metafile } = await build({
    ...common,
    packages: 'bundle',
    external: ['millrace'],
    plugins: [fromCommand],
    format: 'esm',
    splitting: true,
    sourcemap: false,
    minifyWhitespace: true,
    lineLimit: 120,
    legalComments: 'none',
    entryPoints: ['demo/command.ts', 'demo/actor.ts'],
    outdir: 'dist/demo',
  })
  const licences = packagesIn(Object.keys(metafile.inputs)).map((name) => {
    const folder = `${root}node_modules/${name}`
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    return `${name} ${version}, ${license}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
  })
  writeFileSync(`${dist}/demo/LICENSES.txt`, licences.join('\n\n'))
}

/** The packages whose files were bundled. */
function packagesIn(files) {
  const names = files.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}

/** Statement by statement, each as long as it was: the columns of the source maps stay right. */
function rewritten(file, text, later) {
  const isPart = rooms.includes(file) || [...parts].some((part) => basename(part, '.js') === file)
  const code = text
    .replace(/\bimport\{([^}]*)\}from"\.\/(\w+)\.js"/g, (statement, names, other) =>
      `const {${names.replaceAll(' as ', ' :  ')}}=__${other}`.padEnd(statement.length),
    )
    .replace(/\bexport\{([^}]*)\};/, (_, names) => {
      const all = names.replace(/([\w$]+) as ([\w$]+)/g, '$2:$1')
      if (isPart) return `return{${all}}});`
      const onDemand = file === 'index' ? exportedOnDemand(later) : ''
      return `module.exports={${all}};Object.defineProperty(module.exports,"__esModule",{value:true});${onDemand}`
    })
  if (/\b(?:import|export)\s*[{*"]/.test(code)) throw new Error('not all of it became CommonJS')
  return code.replace(strict, (head) => head + headOf(file, isPart, code))
}

/** Properties that find their value when they are first read, and are ordinary ones from then on. */
function exportedOnDemand(later) {
  const define = `const __onDemand=(load,names)=>{for(const name of names){
const be=value=>Object.defineProperty(module.exports,name,{value,writable:true,enumerable:true,configurable:true});
Object.defineProperty(module.exports,name,{get:()=>be(load()[name])[name],set:be,enumerable:true,configurable:true})}};`
  const calls = later.map(
    ([part, names]) => `__onDemand(${loaderOf(part)},${JSON.stringify(names)});`,
  )
  return [define, ...calls].join('\n')
}

/** What the code of a file finds in its first line: what it shares, and how it comes to the parts that it uses. */
function headOf(file, isPart, code) {
  const used = [...parts, ...(file === 'index' ? rooms : [])].filter((part) =>
    code.includes(loaderOf(part)),
  )
  const given = isPart
    ? '__shared,__index'
    : file === 'shared'
      ? 'module.exports'
      : '__shared,module.exports'
  const loaders = used.map(
    (part) => `,${loaderOf(part)}=__part(()=>require("./${basename(part, '.js')}.js"))`,
  )
  return [
    // In brackets: V8 would only skim it otherwise, and read it again when it is called.
    isPart ? 'module.exports=(function(__shared,__index){' : '',
    isPart || file === 'shared' ? '' : 'const __shared=require("./shared.js");',
    file === 'shared'
      ? 'const addon=__dirname.slice(0,__dirname.lastIndexOf("/"))+"/addon",url=__filename;'
      : '',
    used.length === 0
      ? ''
      : `const __part=load=>{let part;return()=>part??=load()(${given})}${loaders.join('')};`,
  ].join('')
}

/**
 * A class that refers to itself is `X=class _X` in a bundle, and `_X` is what stack traces and `console.log` would call
 * it. Inside itself it may as well be ` X`, which is as long.
 */
function withOwnNames(text) {
  const classes = Array.from(text.matchAll(/\b([\w$]+)=class _\1\b/g), ([, name]) => name)
  const own = text.replace(/(?<![\w$.])_([\w$]+)/g, (inner, name) =>
    classes.includes(name) ? ` ${name}` : inner,
  )
  const other = /=class (_[\w$]+)/.exec(own)
  if (other !== null) throw new Error(`a class is called ${other[1]} in a bundle`)
  return own
}

/** By require: the first CommonJS module that Node has to import costs a process 20 ms. */
function handOn(entry, exported) {
  return [
    "const { createRequire } = process.getBuiltinModule('node:module')",
    `export const {\n${exported.map((name) => `  ${name},\n`).join('')}} = createRequire(import.meta.url)('./cjs/${entry}.js')\n`,
  ].join('\n')
}

/** Without their maps: those of the ES modules lead to the same sources. */
function copyDeclarations() {
  writeFileSync(`${dist}/cjs/package.json`, '{ "type": "commonjs" }\n')
  for (const file of readdirSync(dist, { recursive: true })) {
    if (/^(?:cjs|cli)\//.test(file) || !file.endsWith('.d.ts')) continue
    const copy = `${dist}/cjs/${file}`
    mkdirSync(dirname(copy), { recursive: true })
    writeFileSync(copy, withoutMap(readFileSync(`${dist}/${file}`, 'utf8')))
  }
}

/**
 * Nobody steps through the command's sources or imports it, and nobody looks up what lies in lib/addon and lib/base: neither they nor
 * their declarations' maps are packed.
 */
function dropMapsOf(folder, which) {
  for (const name of readdirSync(`${dist}/${folder}`, { recursive: true })) {
    const file = `${dist}/${folder}/${name}`
    if (name.endsWith('.map')) rmSync(file)
    else if (which.test(name)) writeFileSync(file, withoutMap(readFileSync(file, 'utf8')))
  }
}

function withoutMap(text) {
  return text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
}
