// Declarations for both kinds of modules, and maps where somebody follows them.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { dist, entries } from './modules.mjs'

/** What tests look into, though no entry point leads there. */
const seenByTests = ['addon/binary.d.ts']

/** Removes the declarations to which no entry point leads: the compiler of whoever uses the package never opens them. */
export function dropUnreachable() {
  const reached = new Set(seenByTests)
  const open = entries.map((entry) => `${entry}.d.ts`)
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file) || !existsSync(`${dist}/${file}`)) continue
    reached.add(file)
    const text = readFileSync(`${dist}/${file}`, 'utf8')
    for (const [, specifier] of text.matchAll(/(?:from|import\()\s*'(\.[^']+)\.js'/g)) {
      open.push(join(dirname(file), `${specifier}.d.ts`))
    }
  }
  for (const file of readdirSync(dist, { recursive: true })) {
    if (/^(?:cjs|cli|demo)\//.test(file) || !file.endsWith('.d.ts') || reached.has(file)) continue
    rmSync(`${dist}/${file}`)
    rmSync(`${dist}/${file}.map`, { force: true })
  }
}

/** Without their maps: those of the ES modules lead to the same sources. */
export function copyDeclarations() {
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
export function dropMapsOf(folder, which) {
  for (const name of readdirSync(`${dist}/${folder}`, { recursive: true })) {
    const file = `${dist}/${folder}/${name}`
    if (name.endsWith('.map')) rmSync(file)
    else if (which.test(name)) writeFileSync(file, withoutMap(readFileSync(file, 'utf8')))
  }
}

/** Nobody steps through what speaks to an engine: neither the maps of these parts are packed nor their sources. */
export function dropMapsOfBundles(bundles) {
  for (const bundle of bundles) {
    const file = `${dist}/cjs/${bundle}.js`
    rmSync(`${file}.map`)
    writeFileSync(file, withoutMap(readFileSync(file, 'utf8')))
  }
}

function withoutMap(text) {
  return text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
}
