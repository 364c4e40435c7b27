// docs/benchmarks.md: method, machine, ratios, all rows.

import { bandwidth, duration, rate } from '../suite/quantities.js'
import type { FateSummary, Report, Summary } from '../suite/row.js'
import { shown, type Picture } from './charts.js'
import { machineLine } from './notes.js'

const columns = ['row', 'payload', 'topology', 'p50', 'range of p50', 'p99', 'p99.9', 'p99.99']
const further = ['CPU of both', 'rate']

export function page(report: Report, pictures: readonly Picture[]): string {
  return [
    '# Benchmarks',
    '',
    'Written by `npm run bench:record`.',
    '',
    '## Method',
    '',
    ...method(report),
    '',
    '## Machine',
    '',
    machineLine(report),
    '',
    ...table(['', ''], Object.entries({ ...report.machine, ...report.versions }).map(pair)),
    '',
    ...shown(pictures, 'charts'),
    '## Ratios',
    '',
    'Of p50, with their range.',
    '',
    ...table(['ratio', 'meaning', 'to reach', 'here', 'range', ''], ratios(report)),
    '',
    '## Rows',
    '',
    ...table([...columns, ...further], report.rows.map(cells)),
    '',
    ...confirmations(report),
    ...kills(report),
    ...leftOut(report),
  ].join('\n')
}

function method({ method: how, rows }: Report): string[] {
  const unchecked = rows.filter(({ checked }) => !checked).length
  return [
    `- ${how.charAt(0).toUpperCase()}${how.slice(1)}.`,
    '- Topology: `spinning` sides never give their core away, `polling` ones keep the event loop turning for a bounded time',
    '  before they sleep, `waiting` ones sleep in the event loop, `blocking` ones block a Worker’s thread. `unpinned`: the',
    '  scheduler places the processes; `one core`: both processes with all their threads on core 0; `two cores`: the working',
    '  thread of one side on core 0, that of the other on core 1.',
    '- A cache line that two processes pass to and fro tells before and after each measurement where the processors are:',
    '  on one core (below 70 ns), near (below 300 ns: a cache in common), or far. What was measured while they were moved does',
    '  not count, and all figures are of one placement.',
    '- A round trip is timed from before the send until the answer is there; spinning ones a hundred at a time, because one is',
    '  hardly longer than two looks at the clock, so their percentiles are of means of a hundred.',
    '- Streams: percentiles are of the time per message in blocks, mostly of 4,096, as the sender sees it; the rate is the mean',
    '  of the whole stretch until everything has arrived. Ratios compare p50.',
    '- Latency at an offered rate counts from when a message was to be sent, not from when it was.',
    '- Queues are never unbounded: a sender that is too fast waits, and a stretch ends when everything has arrived.',
    '- Unix socket, TCP: a length before each message, reads into one static buffer where Node offers it (the connecting',
    '  side). `writev 64`: 64 Buffers, corked and written together. `block 64`: 64 messages that were laid out in one Buffer',
    '  beforehand, in one write.',
    '- Unix socket, framed by hand: messages of one turn corked, so that they leave in one writev; what comes is cut into views of the',
    '  pieces. Like a channel, it is ahead by 1 MiB at most, and zeromq by 4,096 messages; blocks are 65,536 there.',
    '- `process.send` with `json` carries base64, which is faster there than a Buffer. Rows that say Worker compare threads of',
    '  one process. Rings over a SharedArrayBuffer or shm-typed-array are hand-written: one message size, no wake-ups.',
    '- Frames: the payload is in the slot already and nobody reads it, as with a camera’s driver. Other transports send it.',
    '- Jobs: from the push until it is done, as fast as they get through; at most 1,024 are not done. Servers run on the same',
    '  machine, with one connection a side, 256 pushes under way and 64 jobs handed out at a time; the processor time is without',
    '  theirs.',
    '- Python: `rtt` between the event loops of Node and asyncio, whose socket is served by callbacks. `alone` is the time of one side, in',
    '  a process that is both. What goes into a `shared_memory` is copied there, and not out of it.',
    '- The same buffer is sent again and again, so it is in the sender’s cache: for all alike.',
    `- Rows whose content cannot be checked (the C++ programs beyond their message numbers, locks, counters): ${String(unchecked)}.`,
  ]
}

const pair = ([key, value]: [string, unknown]) => [
  key,
  Array.isArray(value) ? value.join(', ') : String(value),
]

function ratios({ ratios: values, spreads, targets }: Report): string[][] {
  return Object.entries(values).map(([name, value]) => {
    const target = targets[name]
    const verdict = target === undefined ? '' : target.reached ? 'reached' : 'not reached'
    const range = spreads[name]?.join(' – ') ?? ''
    return [`\`${name}\``, target?.means ?? '', target?.reach ?? '', String(value), range, verdict]
  })
}

function cells(row: Summary): string[] {
  const { name, payload, topology, p50, min, max, p99, p999, p9999, cpu } = row
  const time = (value: number | undefined) => (value === undefined ? '' : duration(value))
  return [
    name,
    payload === 0 ? '' : `${payload.toLocaleString('en')} B`,
    topology,
    duration(p50),
    `${duration(min)} – ${duration(max)}`,
    ...[p99, p999, p9999, cpu].map(time),
    speed(row),
  ]
}

function speed({ rate: perSecond, bytesPerSecond }: Summary): string {
  if (bytesPerSecond !== undefined) return bandwidth(bytesPerSecond)
  return perSecond === undefined ? '' : rate(perSecond)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cellsOfLine: readonly string[]) => `| ${cellsOfLine.join(' | ')} |`
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)]
}

/** Who moves jobs confirms more or less; what is compared with what must be seen. */
function confirmations({ rows }: Report): string[] {
  const said = rows.flatMap(({ name, confirms }) =>
    confirms === undefined ? [] : [[name, confirms]],
  )
  if (said.length === 0) return []
  return ['## What is certain of a job', '', ...table(['row', ''], said), '']
}

function kills({ fates = [] }: Report): string[] {
  if (fates.length === 0) return []
  const head = ['', 'lost', 'done twice', 'another has it after', 'the last is done after', '']
  return [
    '## A worker is killed',
    '',
    'Two workers with a connection each, tasks of a millisecond. When 300 are done, one worker is killed (SIGKILL) in the midst of',
    'its next one. `another has it after`: until another worker begins that task. Everybody’s defaults, unless something is said.',
    '',
    ...table(head, fates.map(fateCells)),
    '',
  ]
}

function fateCells(fate: FateSummary): string[] {
  const { name, tasks, lost, twice, againAfter, lastAfter, confirms = '' } = fate
  return [
    name,
    `${lost.toLocaleString('en')} of ${tasks.toLocaleString('en')}`,
    String(twice),
    againAfter === undefined ? 'never' : duration(againAfter * 1e6),
    duration(lastAfter * 1e6),
    confirms,
  ]
}

function leftOut({ skipped }: Report): string[] {
  if (skipped.length === 0) return []
  return ['Left out:', '', ...skipped.map(({ name, why }) => `- ${name}: ${why}`), '']
}
