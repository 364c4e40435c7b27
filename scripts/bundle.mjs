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
//   dist/page/             the files of the live page, with the licence of what draws its charts
import { readdirSync, writeFileSync } from 'node:fs'

import {
  copyDeclarations,
  dropMapsOf,
  dropMapsOfBundles,
  dropUnreachable,
} from './bundle/declarations.mjs'
import { bundleDemo } from './bundle/demo.mjs'
import { bundlePage } from './bundle/page.mjs'
import { bundleLibrary } from './bundle/library.mjs'
import { dist, entries, names, root } from './bundle/modules.mjs'

await bundleLibrary()
for (const entry of entries) writeFileSync(`${dist}/${entry}.js`, handOn(entry, names[entry]))
dropUnreachable()
copyDeclarations()
await bundleDemo()
await bundlePage()
const engines = readdirSync(`${root}lib/engines`, { withFileTypes: true })
// Who reads their code, or steps through it, does it in the repository: the package would have no room for its binaries.
dropMapsOfBundles([
  ...engines.filter((one) => one.isDirectory()).map(({ name }) => name),
  'dashboard',
  'gateway',
  'net',
  'net-conformance',
  'recording',
  'remote',
  'spans',
  'telemetry',
])
dropMapsOf('cli', /\.(?:js|d\.ts)$/)
for (const folder of [
  'addon',
  'base',
  'conformance',
  'dashboard',
  'gateway',
  'net',
  'recording',
  'remote',
  'telemetry',
])
  dropMapsOf(folder, /\.d\.ts$/)

/** By require: the first CommonJS module that Node has to import costs a process 20 ms. */
function handOn(entry, exported) {
  return [
    "const { createRequire } = process.getBuiltinModule('node:module')",
    `export const {\n${exported.map((name) => `  ${name},\n`).join('')}} = createRequire(import.meta.url)('./cjs/${entry}.js')\n`,
  ].join('\n')
}
