// The C++ programs: built from native/bench by the development CMake build.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

export const programPath = (name: string) => join(root, 'build-native', 'bench', name)

/** What the programs need that is not asked of every machine, and what is said where it is missing. */
const needs: Readonly<Record<string, string>> = {
  millrace_bench_boost: 'there are no headers of Boost (boost/interprocess)',
}

/** Why a program was not built; `undefined` if it was, or nothing excuses it. */
export function whyNotBuilt(name: string): string | undefined {
  return existsSync(programPath(name)) ? undefined : needs[name]
}

export async function buildPrograms(): Promise<void> {
  const build = spawn(process.execPath, [join(root, 'scripts', 'build-bench.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error('the C++ benchmarks did not build; is CMake installed?')
}
