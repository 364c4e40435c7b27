// Electron refuses ArrayBuffers over shared memory. A copy of the package is made to meet the same refusal: its addon calls
// the function under another name, which a preloaded library answers as Electron would.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { uniqueName } from '../support/names.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const execute = promisify(execFile)

/** Every call that lends memory. */
const borrowing = {
  left: [
    ...['reserve', 'reserveWhenFree', 'loan.bytes', 'loan.view', 'loan.header'],
    ...['memory.buffer', 'memory.view', 'cell.update'],
  ],
  right: ['drain', 'frame.bytes', 'frame.view'],
}

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('where buffers are refused, borrowing is a typed error and copying works', async (t) => {
  const name = uniqueName(t)
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const modules = join(directory, 'node_modules')
  const copy = join(modules, 'millrace')
  for (const part of ['dist', 'build/Release/millrace.node', 'package.json']) {
    mkdirSync(join(copy, part, '..'), { recursive: true })
    cpSync(join(root, part), join(copy, part), { recursive: true })
  }
  cpSync(join(root, 'node_modules/node-gyp-build'), join(modules, 'node-gyp-build'), {
    recursive: true,
  })
  cpSync(join(root, 'smoke/programs/copying.mjs'), join(directory, 'copying.mjs'))

  const addon = join(copy, 'build/Release/millrace.node')
  const bytes = readFileSync(addon)
  const at = bytes.indexOf('\0napi_create_external_arraybuffer\0')
  t.true(at > 0)
  bytes.write('nope', at + 1)
  writeFileSync(addon, bytes)
  const library = join(directory, 'refuse.so')
  const source = join(root, 'smoke/refuse-buffers.c')
  await execute(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-o', library, source])

  const sides = await Promise.all(
    (['left', 'right'] as const).map(async (role) => {
      const { stdout } = await execute(process.execPath, ['copying.mjs', role, name], {
        cwd: directory,
        env: { ...process.env, LD_PRELOAD: library },
        timeout: 60_000,
      })
      return JSON.parse(stdout) as unknown
    }),
  )
  t.deepEqual(sides, [
    { role: 'left', rounds: 200, refused: borrowing.left },
    { role: 'right', rounds: 200, refused: borrowing.right },
  ])
})
