// Makes what programs load out of what the compiler wrote. Every process pays for loading, so it is done
// in the cheapest form that Node has: CommonJS (the first import between ES modules costs a process 4 ms, a
// require 0.5 ms), one file for each entry point beside one for what they share, without blanks. Names
// stay, for the stack traces.
//
//   dist/cjs/<entry>.js    the code; dist/cjs/shared.js is lib/errors.ts, lib/addon, lib/base and lib/place
//   dist/cjs/**/*.d.ts     the declarations once more: TypeScript tells the two kinds of modules apart
//   dist/<entry>.js        an ES module that hands on the names of the code above, so that a process has
//                          one library, however it was loaded
//   dist/addon/binary.js   for its test; dist/cli is the compiler's own
//   dist/demo/             the demonstration, with what it needs beside this package and the licences of that
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = `${root}dist`
const entries = ['index', 'streams', 'struct', 'sync']
/** What the entry points share: the floors below them. */
const sharedFolders = ['addon', 'base', 'place']
const sharedFiles = ['errors']

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

/** Entry points take what they share from one file: no class of the library exists twice. */
const fromShared = {
  name: 'shared',
  setup({ onResolve }) {
    const shared = new RegExp(
      `/(?:(?:${sharedFolders.join('|')})/[^/]+|${sharedFiles.join('|')})\\.js$`,
    )
    onResolve({ filter: shared }, () => ({ path: './shared.js', external: true }))
  },
}

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
const asCommonJs = {
  name: 'as-common-js',
  setup({ onEnd }) {
    onEnd(({ outputFiles }) => {
      for (const { path, text } of outputFiles)
        writeFileSync(path, path.endsWith('.js') ? rewritten(withOwnNames(text)) : text)
    })
  },
}

/**
 * The list of what is shared is no file, so its map says that it is the first line of lib/index.ts. Without one it would
 * be named as a source that nobody can open, and an empty map is ignored.
 */
const listMap = { version: 3, sources: ['../../lib/index.ts'], names: [], mappings: 'AAAA' }
const listMapComment = `//# sourceMappingURL=data:application/json,${encodeURIComponent(JSON.stringify(listMap))}`

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

async function bundle() {
  const shared = sharedFolders
    .flatMap((folder) => readdirSync(`${dist}/${folder}`).map((file) => `${folder}/${file}`))
    .concat(sharedFiles.map((file) => `${file}.js`))
    .filter((file) => file.endsWith('.js'))
    .map((file) => `export * from './dist/${file}'`)
  const sharedModule = { contents: [...shared, listMapComment].join('\n'), resolveDir: root }
  const cjs = {
    ...common,
    format: 'esm',
    write: false,
    banner: { js: '"use strict";' },
    minifyWhitespace: true,
    // Writes constants of a module into those that use them.
    minifySyntax: true,
    // Node prints the line that an error was thrown in.
    lineLimit: 120,
    // The code looks for the addon from the folder of its module: dist/addon.
    define: { 'import.meta.dirname': 'addon', 'import.meta.url': 'url' },
  }
  mkdirSync(`${dist}/cjs`, { recursive: true })
  await Promise.all([
    build({
      ...cjs,
      stdin: sharedModule,
      outfile: 'dist/cjs/shared.js',
      banner: {
        js: `"use strict";const addon=__dirname.replace(/\\/[^/]*$/,"/addon"),url=__filename;`,
      },
      plugins: [asCommonJs],
    }),
    build({
      ...cjs,
      entryPoints: entries.map((entry) => `dist/${entry}.js`),
      outdir: 'dist/cjs',
      plugins: [fromShared, asCommonJs],
    }),
  ])
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
function rewritten(text) {
  const imported = /\bimport\{([^}]*)\}from"\.\/shared\.js"/g
  const exported = /\bexport\{([^}]*)\};/
  const code = text
    .replace(
      imported,
      (_, names) => `const {${names.replaceAll(' as ', ' :  ')}}=__shared          `,
    )
    .replace(exported, (_, names) => {
      const all = names.replace(/([\w$]+) as ([\w$]+)/g, '$2:$1')
      return `module.exports={${all}};Object.defineProperty(module.exports,"__esModule",{value:true});`
    })
  if (/\b(?:import|export)\s*[{*"]/.test(code)) throw new Error('not all of it became CommonJS')
  const head = '"use strict";'
  if (!imported.test(text)) return code
  return code.replace(head, `${head}const __shared=require("./shared.js");`)
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
