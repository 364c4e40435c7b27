// ES modules as CommonJS, statement by statement.

import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'

import { inEntries, isPart, loaderOf, parts, rooms } from './modules.mjs'

export const strict = '"use strict";'

/**
 * ES modules as CommonJS. The bundler's own way of writing that exports a getter for each name: they cost a process half
 * a millisecond to make, and each use of one as much as sending a small message.
 */
export const asCommonJs = (file, later) => ({
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

/** Statement by statement, each as long as it was: the columns of the source maps stay right. */
function rewritten(file, text, later) {
  const isLoaded = rooms.includes(file) || isPart(file)
  const code = text
    .replace(/\bimport\{([^}]*)\}from"\.\/(\w+)\.js"/g, (statement, names, other) =>
      `const {${names.replaceAll(' as ', ' :  ')}}=__${other}`.padEnd(statement.length),
    )
    .replace(/\bexport\{([^}]*)\};/, (_, names) => {
      const all = names.replace(/([\w$]+) as ([\w$]+)/g, '$2:$1')
      if (isLoaded) return `return{${all}}});`
      const onDemand = file === 'index' ? exportedOnDemand(later) : ''
      return `module.exports={${all}};Object.defineProperty(module.exports,"__esModule",{value:true});${onDemand}`
    })
  if (/\b(?:import|export)\s*[{*"]/.test(code)) throw new Error('not all of it became CommonJS')
  return code.replace(strict, (head) => head + headOf(file, isLoaded, code))
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
function headOf(file, isLoaded, code) {
  const used = [...parts, ...(file === 'index' ? rooms : [])].filter((part) =>
    code.includes(loaderOf(part)),
  )
  const given = isLoaded
    ? '__shared,__index'
    : file === 'shared'
      ? 'module.exports'
      : '__shared,module.exports'
  const loaders = used.map(
    (part) => `,${loaderOf(part)}=__part(()=>require("./${basename(part, '.js')}.js"))`,
  )
  const entries = [...inEntries]
    .filter(([path, entry]) => entry !== file && code.includes(loaderOf(path)))
    .map(([path, entry]) => `const ${loaderOf(path)}=()=>require("./${entry}.js");`)
  return [
    // In brackets: V8 would only skim it otherwise, and read it again when it is called.
    isLoaded ? 'module.exports=(function(__shared,__index){' : '',
    isLoaded || file === 'shared' ? '' : 'const __shared=require("./shared.js");',
    file === 'shared'
      ? 'const addon=__dirname.slice(0,__dirname.lastIndexOf("/"))+"/addon",url=__filename;'
      : /\(\s*url\s*\)/.test(code)
        ? 'const url=__filename;'
        : '',
    ...entries,
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
