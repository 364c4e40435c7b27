// The C++ programs: built from native/bench by the development CMake build.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

export const programPath = (name: string) => join(root, 'build-native', 'bench', name)

export async function buildPrograms(): Promise<void> {
  const build = spawn(process.execPath, [join(root, 'scripts', 'build-bench.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error('the C++ benchmarks did not build; is CMake installed?')
}
