// What package managers say of a package: nothing about scripts, at whatever they are told to do. So that this can fail, it
// is also asked about a package that has what ours has not any more.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, run } from './process.mjs'

/** Installed besides, to have something to install. */
export const other = 'millrace-smoke-other'
/** Compiles, if somebody lets it, though nothing in its package.json says so. */
export const compiling = 'millrace-smoke-compiling'

/** Yarn installs a node-gyp with node-addon-api, as a script of that mentions it, says so, and lists it. */
const notOurs = /YN0032: .*node-addon-api|YN0085: .*\+ |Done with warnings/

const telling = /script|\bgyp\b|approve|ignored|untrusted|blocked|compil|\bbuil[dt]|\bwarn/i

/** Publishes both, and the node-gyp that Yarn installs with node-addon-api, which nobody runs here. */
export async function publishOthers(registry, scratch) {
  const make = async (name, more, files) => {
    const folder = join(scratch, name)
    mkdirSync(folder)
    const manifest = { name, version: '1.0.0', license: 'MIT', ...more }
    for (const [file, text] of Object.entries({
      'package.json': JSON.stringify(manifest),
      ...files,
    }))
      writeFileSync(join(folder, file), text)
    await registry.publish(folder)
  }
  await make(other, {}, { 'index.js': '' })
  await make('node-gyp', {}, { 'index.js': '' })
  await make(compiling, { gypfile: false }, { 'binding.gyp': "{ 'targets': [] }\n" })
}

/** Runs it to a good end; what it said. */
export async function hear(command, options) {
  const ending = await run(command, { seconds: 300, ...options })
  if (ending.code !== 0) throw new Error(`${command.join(' ')}: ${describe(ending)}`)
  return `${ending.stdout}\n${ending.stderr}`.trim()
}

/** Runs it; whatever it says about scripts is an error. */
export async function hearNothing(command, options) {
  const told = (await hear(command, options))
    .split('\n')
    .filter((line) => telling.test(line) && !notOurs.test(line))
  if (told.length > 0) throw new Error(`${command.join(' ')} said:\n    ${told.join('\n    ')}`)
}
