// Python, for rows that need it, and the library that its package loads.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { pythonPath } from '../side/python.js'
import { root } from './programs.js'

const supported =
  'import sys, ctypes, multiprocessing.shared_memory; sys.exit(sys.version_info < (3, 9))'

/** Why there is no row with Python here; `undefined` if there is. */
export function cannotRunPython(): string | undefined {
  const tried = spawnSync(pythonPath(), ['-c', supported], { stdio: 'ignore' })
  if (tried.error !== undefined) return `there is no ${pythonPath()}`
  return tried.status === 0 ? undefined : `${pythonPath()} is older than 3.9, or lacks ctypes`
}

export async function buildLibrary(): Promise<void> {
  const build = spawn(process.execPath, [join(root, 'scripts', 'build-capi.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error('the library of the C interface did not build')
}

export function pythonVersion(): Record<string, string> {
  if (cannotRunPython() !== undefined) return {}
  const { stdout } = spawnSync(
    pythonPath(),
    ['-c', 'import platform; print(platform.python_version())'],
    {
      encoding: 'utf8',
    },
  )
  return { python: stdout.trim() }
}
