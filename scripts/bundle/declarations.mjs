// Declarations for both kinds of modules, and maps where somebody follows them.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { dist } from './modules.mjs'

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

function withoutMap(text) {
  return text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
}
