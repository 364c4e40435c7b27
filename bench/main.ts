// The benchmark suite: every row measured in fresh processes, repetitions interleaved, medians printed
// with their range, and the ratios that the README's claims rest on.
//   npm run bench [-- --quick] [--only TEXT] [--json FILE]

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import {
  buildCore,
  runCore,
  runLock,
  runSemaphore,
  runSync,
  type CoreBenchmark,
  type LockBenchmark,
  type LockKind,
  type SemaphoreBenchmark,
  type SyncBenchmark,
} from './core.js'
import type { Measured, Parameters } from './measured.js'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
})

type Row = {
  readonly name: string
  readonly unit: 'round trip' | 'message' | 'pair' | 'call' | 'turn'
} & (
  | { readonly core: CoreBenchmark; readonly bytes: number; readonly count: number }
  | { readonly semaphore: SemaphoreBenchmark; readonly count: number }
  | { readonly sync: SyncBenchmark; readonly bytes: number; readonly count: number }
  | { readonly lock: LockKind; readonly how: LockBenchmark; readonly count: number }
  | { readonly file: string; readonly parameters: Omit<Parameters, 'name'> }
)

const scale = options.quick ? 0.25 : 1
const repetitions = options.quick ? 3 : 5
const times = (count: number) => Math.max(100, Math.round((count * scale) / 64) * 64)

const large = 8 * 1024 * 1024

const rows: readonly Row[] = [
  ...roundTrips(),
  ...throughputs(),
  ...frames(),
  ...semaphores(),
  ...locks(),
  ...cells(),
  ...others(),
]

function roundTrips(): Row[] {
  const unit = 'round trip'
  const bytes = 64
  const count = times(20_000)
  return [
    { name: 'spin: C++ core', unit, core: 'spin-rtt', bytes, count: times(1_000_000) },
    {
      name: 'spin: millrace',
      unit,
      file: 'queue-rtt',
      parameters: { bytes, count: times(1_000_000), wait: 'spin' },
    },
    { name: 'wait: millrace', unit, file: 'queue-rtt', parameters: { bytes, count } },
    {
      name: 'wait: millrace, poll 2 ms',
      unit,
      file: 'queue-rtt',
      parameters: { bytes, count, poll: 2 },
    },
    {
      name: 'wait: millrace, poll 0',
      unit,
      file: 'queue-rtt',
      parameters: { bytes, count, poll: 0 },
    },
    { name: 'wait: Unix socket', unit, file: 'socket-rtt', parameters: { bytes, count } },
    {
      name: 'wait: process.send',
      unit,
      file: 'process-rtt',
      parameters: { bytes, count, serialization: 'advanced' },
    },
    { name: 'futex: C++ core', unit, core: 'futex-rtt', bytes, count },
  ]
}

function throughputs(): Row[] {
  const unit = 'message'
  return [8, 64, 1024].flatMap((bytes): Row[] => {
    const count = times(bytes === 1024 ? 4_000_000 : 10_000_000)
    const slow = times(bytes === 1024 ? 200_000 : 400_000)
    const size = `${String(bytes)} B`
    return [
      { name: `${size}: C++ core`, unit, core: 'throughput', bytes, count },
      {
        name: `${size}: millrace, single`,
        unit,
        file: 'queue-throughput',
        parameters: { bytes, count },
      },
      {
        name: `${size}: millrace, batch 64`,
        unit,
        file: 'queue-throughput',
        parameters: { bytes, count, batch: 64 },
      },
      {
        name: `${size}: Unix socket, single`,
        unit,
        file: 'socket-throughput',
        parameters: { bytes, count: slow },
      },
      {
        name: `${size}: Unix socket, batch 64`,
        unit,
        file: 'socket-throughput',
        parameters: { bytes, count: slow * 4, batch: 64 },
      },
      {
        name: `${size}: process.send`,
        unit,
        file: 'process-throughput',
        parameters: { bytes, count: slow / 4, serialization: 'advanced' },
      },
    ]
  })
}

function frames(): Row[] {
  const unit = 'round trip'
  const count = times(10_000)
  return [
    { name: 'frame 4 KiB: millrace', unit, file: 'frame-rtt', parameters: { bytes: 4096, count } },
    { name: 'frame 8 MiB: millrace', unit, file: 'frame-rtt', parameters: { bytes: large, count } },
    {
      name: 'frame 8 MiB: millrace, poll 0',
      unit,
      file: 'frame-rtt',
      parameters: { bytes: large, count, poll: 0 },
    },
    {
      name: 'frame 8 MiB: Unix socket',
      unit,
      file: 'socket-rtt',
      parameters: { bytes: large, count: times(400) },
    },
    {
      name: 'frame 8 MiB: process.send',
      unit,
      file: 'process-rtt',
      parameters: { bytes: large, count: times(400), serialization: 'advanced' },
    },
  ]
}

function semaphores(): Row[] {
  const pairs = times(2_000_000)
  const count = times(20_000)
  const rtt = { unit: 'round trip', file: 'semaphore-rtt' } as const
  return [
    { name: 'semaphore pair: C', unit: 'pair', semaphore: 'pair', count: pairs },
    {
      name: 'semaphore pair: millrace',
      unit: 'pair',
      file: 'semaphore-pair',
      parameters: { bytes: 0, count: pairs },
    },
    { name: 'semaphore: C, asleep', unit: 'round trip', semaphore: 'rtt', count },
    {
      name: 'semaphore: millrace, blocking',
      ...rtt,
      parameters: { bytes: 0, count, wait: 'block' },
    },
    { name: 'semaphore: millrace', ...rtt, parameters: { bytes: 0, count } },
    { name: 'semaphore: millrace, poll 2 ms', ...rtt, parameters: { bytes: 0, count, poll: 2 } },
    { name: 'semaphore: millrace, poll 0', ...rtt, parameters: { bytes: 0, count, poll: 0 } },
  ]
}

function locks(): Row[] {
  const unit = 'turn'
  const count = times(2_000_000)
  const parameters = { bytes: 0, count: count / 4 }
  return (['alone', 'contended'] as const).flatMap((how): Row[] => [
    { name: `mutex, ${how}: C`, unit, lock: 'pthread-mutex', how, count },
    { name: `mutex, ${how}: C++ core`, unit, lock: 'mutex', how, count },
    { name: `mutex, ${how}: millrace`, unit, file: `mutex-${how}`, parameters },
    { name: `rwlock read, ${how}: C`, unit, lock: 'pthread-read', how, count },
    { name: `rwlock read, ${how}: C++ core`, unit, lock: 'read', how, count },
    { name: `rwlock write, ${how}: C`, unit, lock: 'pthread-write', how, count },
    { name: `rwlock write, ${how}: C++ core`, unit, lock: 'write', how, count },
  ])
}

function cells(): Row[] {
  return [64, 4096].flatMap((bytes): Row[] => {
    const unit = 'call'
    const count = times(bytes === 64 ? 2_000_000 : 500_000)
    const size = `${String(bytes)} B`
    const parameters = { bytes, count }
    return [
      { name: `cell write ${size}: C seqlock`, unit, sync: 'seqlock-write', bytes, count },
      { name: `cell write ${size}: C++ core`, unit, sync: 'cell-write', bytes, count },
      { name: `cell write ${size}: millrace`, unit, file: 'cell-write', parameters },
      { name: `cell read ${size}: C seqlock`, unit, sync: 'seqlock-read', bytes, count },
      { name: `cell read ${size}: C++ core`, unit, sync: 'cell-read', bytes, count },
      { name: `cell read ${size}: millrace`, unit, file: 'cell-read', parameters },
    ]
  })
}

function others(): Row[] {
  const bytes = 8
  const additions = times(2_000_000)
  const count = times(20_000)
  const trips = { unit: 'round trip', bytes, count } as const
  return [
    { name: 'counter: C', unit: 'call', sync: 'atomic-add', bytes, count: additions },
    { name: 'counter: C++ core', unit: 'call', sync: 'counter-add', bytes, count: additions },
    {
      name: 'counter: millrace',
      unit: 'call',
      file: 'counter-add',
      parameters: { bytes, count: additions },
    },
    { name: 'event: C condition', ...trips, sync: 'cond-rtt' },
    { name: 'event: C++ core', ...trips, sync: 'event-rtt' },
    {
      name: 'event: millrace',
      unit: 'round trip',
      file: 'event-rtt',
      parameters: { bytes, count },
    },
    { name: 'barrier: C', ...trips, sync: 'pthread-barrier' },
    { name: 'barrier: C++ core', ...trips, sync: 'barrier' },
    {
      name: 'barrier: millrace',
      unit: 'round trip',
      file: 'barrier',
      parameters: { bytes, count },
    },
  ]
}

async function measure(row: Row, repetition: number): Promise<Measured> {
  if ('core' in row) return runCore(row.core, row.bytes, row.count)
  if ('semaphore' in row) return runSemaphore(row.semaphore, row.count)
  if ('lock' in row) return runLock(row.how, row.lock, row.count)
  if ('sync' in row) return runSync(row.sync, row.bytes, row.count)
  const name = `bench.${String(process.pid)}.${String(rows.indexOf(row))}.${String(repetition)}`
  const side = fork(fileURLToPath(new URL('side.js', import.meta.url)), [
    row.file,
    'lead',
    JSON.stringify({ name, ...row.parameters }),
  ])
  const exited = once(side, 'exit') as Promise<[number | null, string | null]>
  let measured: Measured | undefined
  side.on('message', (message) => {
    measured = message as Measured
  })
  const [code, signal] = await exited
  if (measured === undefined) {
    throw new Error(`${row.name}: the measuring process ended with ${String(code ?? signal)}`)
  }
  return measured
}

function payloadOf(row: Row): number {
  if ('semaphore' in row || 'lock' in row) return 0
  return 'core' in row || 'sync' in row ? row.bytes : row.parameters.bytes
}

interface Summary {
  readonly name: string
  readonly unit: string
  readonly payload: number
  readonly p50: number
  readonly p99: number
  readonly min: number
  readonly max: number
}

function summarise(row: Row, measured: readonly Measured[]): Summary {
  const medians = measured.map(({ p50 }) => p50).sort((a, b) => a - b)
  const median = (values: readonly number[]) => values[Math.floor(values.length / 2)] ?? NaN
  return {
    name: row.name,
    unit: row.unit,
    payload: payloadOf(row),
    p50: median(medians),
    p99: median(measured.map(({ p99 }) => p99).sort((a, b) => a - b)),
    min: medians[0] ?? NaN,
    max: medians.at(-1) ?? NaN,
  }
}

function duration(nanoseconds: number): string {
  if (nanoseconds >= 1e6) return `${(nanoseconds / 1e6).toFixed(2)} ms`
  if (nanoseconds >= 1e4) return `${(nanoseconds / 1e3).toFixed(1)} µs`
  if (nanoseconds >= 1e3) return `${(nanoseconds / 1e3).toFixed(2)} µs`
  return `${nanoseconds.toFixed(0)} ns`
}

function print(summary: Summary): void {
  const { name, unit, p50, p99, min, max } = summary
  const rate = unit === 'message' ? `${(1e3 / p50).toFixed(2)} M/s` : `p99 ${duration(p99)}`
  const range = `${duration(min)} – ${duration(max)}`
  console.log(`${name.padEnd(32)}${duration(p50).padStart(10)}  ${range.padEnd(24)}${rate}`)
}

/** Ratios, named as the requirements name them; only those whose rows were measured. */
function ratios(summaries: ReadonlyMap<string, Summary>): Record<string, number> {
  const result: Record<string, number> = {}
  const ratio = (name: string, above: string, below: string) => {
    const a = summaries.get(above)
    const b = summaries.get(below)
    if (a !== undefined && b !== undefined) result[name] = Number((a.p50 / b.p50).toPrecision(3))
  }
  ratio('rtt_spin_vs_core', 'spin: millrace', 'spin: C++ core')
  ratio('rtt_poll_vs_uds', 'wait: millrace, poll 2 ms', 'wait: Unix socket')
  ratio('rtt_wait_vs_uds', 'wait: millrace', 'wait: Unix socket')
  ratio('tput64_single_vs_core', '64 B: C++ core', '64 B: millrace, single')
  ratio('tput64_batch_vs_core', '64 B: C++ core', '64 B: millrace, batch 64')
  ratio('tput1k_batch_vs_core', '1024 B: C++ core', '1024 B: millrace, batch 64')
  ratio('tput64_vs_uds', '64 B: Unix socket, single', '64 B: millrace, single')
  ratio('tput64_vs_process_send', '64 B: process.send', '64 B: millrace, single')
  ratio('tput64_batch_vs_uds_batch', '64 B: Unix socket, batch 64', '64 B: millrace, batch 64')
  ratio('frame8m_vs_uds', 'frame 8 MiB: Unix socket', 'frame 8 MiB: millrace')
  ratio('frame8m_vs_process_send', 'frame 8 MiB: process.send', 'frame 8 MiB: millrace')
  ratio('frame_flat', 'frame 8 MiB: millrace', 'frame 4 KiB: millrace')
  ratio('cell_write64_vs_seqlock', 'cell write 64 B: millrace', 'cell write 64 B: C seqlock')
  ratio('cell_read64_vs_seqlock', 'cell read 64 B: millrace', 'cell read 64 B: C seqlock')
  ratio('counter_vs_c', 'counter: millrace', 'counter: C')
  ratio('event_vs_c', 'event: millrace', 'event: C condition')
  ratio('barrier_vs_c', 'barrier: millrace', 'barrier: C')
  ratio('mutex_alone_core_vs_c', 'mutex, alone: C++ core', 'mutex, alone: C')
  ratio('mutex_alone_vs_c', 'mutex, alone: millrace', 'mutex, alone: C')
  ratio('mutex_contended_core_vs_c', 'mutex, contended: C++ core', 'mutex, contended: C')
  ratio('mutex_contended_vs_c', 'mutex, contended: millrace', 'mutex, contended: C')
  ratio('semaphore_pair_vs_c', 'semaphore pair: millrace', 'semaphore pair: C')
  ratio('semaphore_blocking_vs_c', 'semaphore: millrace, blocking', 'semaphore: C, asleep')
  ratio('semaphore_wait_vs_c', 'semaphore: millrace', 'semaphore: C, asleep')
  return result
}

const chosen = rows.filter((row) => row.name.includes(options.only))
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  kernel: release(),
  architecture: process.arch,
}
const versions = { node: process.version, v8: process.versions.v8 }

await buildCore()
console.log(
  `${machine.cpu}, ${String(machine.cores)} cores, Linux ${machine.kernel}, Node ${process.version}`,
)
console.log(
  `two processes, not pinned; ${String(repetitions)} repetitions, interleaved; median and range of the medians\n`,
)
const measured = new Map<Row, Measured[]>(chosen.map((row) => [row, []]))
for (let repetition = 0; repetition < repetitions; repetition++) {
  for (const [row, list] of measured) {
    list.push(await measure(row, repetition))
    if (process.stderr.isTTY) process.stderr.write(`\r${String(repetition + 1)} ${row.name}\x1b[K`)
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')

const summaries = [...measured].map(([row, list]) => summarise(row, list))
for (const summary of summaries) print(summary)
const found = ratios(new Map(summaries.map((summary) => [summary.name, summary])))
console.log('\nratios')
for (const [name, value] of Object.entries(found))
  console.log(`  ${name.padEnd(28)}${String(value)}`)
if (options.json !== undefined) {
  const report = { machine, versions, repetitions, rows: summaries, ratios: found }
  await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
}
