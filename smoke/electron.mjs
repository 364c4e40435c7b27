// Electron forbids ArrayBuffers over memory that is not the engine's own. It cannot be had from npm, so its refusal is
// simulated: in a copy of the addon the function that makes such buffers has another name, under which a preloaded
// library (refuse-buffers.c) answers as Electron does.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { copyOf, here, runtimes } from './site.mjs'

const binary = 'linux-x64/millrace.glibc.node'
const node = join(runtimes, 'node22/bin/node')

export const electronCases = [
  {
    name: 'electron/copying',
    what: 'external buffers refused: borrowing is a typed error, copying works',
    host: 'linux-x64',
    binary,
    needs: ['gcc'],
    async run({ app }) {
      const folder = copyOf(app, 'electron')
      await succeed(
        ['gcc', '-shared', '-fPIC', '-o', 'refuse.so', join(here, 'refuse-buffers.c')],
        {
          cwd: folder,
        },
      )
      refuseBuffers(join(folder, 'node_modules/millrace/prebuilds', binary))

      const name = newName()
      const env = { LD_PRELOAD: join(folder, 'refuse.so') }
      const sides = await Promise.all(
        ['left', 'right'].map((role) =>
          run([node, 'copying.mjs', role, name], { cwd: folder, env }),
        ),
      )
      const behind = leftBehind(name)
      const failed = sides.find(({ code }) => code !== 0)
      if (failed) throw new Error(sides.map(describe).join('\n'))
      if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
      const { version } = JSON.parse(readFileSync(join(runtimes, 'node22/package.json'), 'utf8'))
      return { runtime: `Electron (simulated on Node ${version})`, platform: 'linux-x64 glibc' }
    },
  },
]

/** Renames the function in the addon's table of names; the length stays. */
export function refuseBuffers(file) {
  const name = 'napi_create_external_arraybuffer\0'
  const bytes = readFileSync(file)
  const at = bytes.indexOf(name)
  if (at < 0 || bytes.indexOf(name, at + 1) >= 0) throw new Error(`${file} does not name it once`)
  bytes.write('nope', at)
  writeFileSync(file, bytes)
}
