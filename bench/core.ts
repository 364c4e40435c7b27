// The C++ core on its own: built from native/bench/core.cpp by the development CMake build.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Measured } from './measured.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const programs = join(root, 'build-native', 'bench')

export async function buildCore(): Promise<void> {
  const build = spawn(process.execPath, [join(root, 'scripts', 'build-bench.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error('the C++ benchmark did not build; is CMake installed?')
}

export type CoreBenchmark = 'spin-rtt' | 'futex-rtt' | 'throughput'
/** Of the C library's semaphores, without the core. */
export type SemaphoreBenchmark = 'pair' | 'rtt'

export async function runCore(
  what: CoreBenchmark,
  bytes: number,
  count: number,
): Promise<Measured> {
  return await runProgram('millrace_bench_core', [what, String(bytes), String(count)])
}

/** Cells, counters, events and barriers: the core's, and what a C program would use instead. */
export type SyncBenchmark =
  | 'cell-write'
  | 'seqlock-write'
  | 'cell-read'
  | 'seqlock-read'
  | 'counter-add'
  | 'atomic-add'
  | 'event-rtt'
  | 'cond-rtt'
  | 'barrier'
  | 'pthread-barrier'

export async function runSync(
  what: SyncBenchmark,
  bytes: number,
  count: number,
): Promise<Measured> {
  return await runProgram('millrace_bench_sync', [what, String(bytes), String(count)])
}

export async function runSemaphore(what: SemaphoreBenchmark, count: number): Promise<Measured> {
  return await runProgram('millrace_bench_semaphore', [what, String(count)])
}

export type LockBenchmark = 'alone' | 'contended'
export type LockKind =
  'pthread-mutex' | 'mutex' | 'pthread-read' | 'read' | 'pthread-write' | 'write'

/** Locks: the core's, and those of the C library. */
export async function runLock(
  what: LockBenchmark,
  lock: LockKind,
  count: number,
): Promise<Measured> {
  return await runProgram('millrace_bench_locks', [what, lock, String(count)])
}

async function runProgram(name: string, args: readonly string[]): Promise<Measured> {
  const { stdout } = await promisify(execFile)(join(programs, name), args)
  const printed = JSON.parse(stdout) as { p50?: number; p99?: number; perMessage?: number }
  const p50 = printed.p50 ?? printed.perMessage ?? NaN
  const p99 = printed.p99 ?? p50
  return { p50, p99, p999: p99 }
}
