// `millrace hz NAME...` and `millrace bw NAME...`: how often messages come, and how many bytes they bring.

import { watch, type ChannelWatch, type ObservedKind } from '../telemetry.js'
import { formatColumns } from './columns.js'
import { nameHere } from './here.js'
import { written } from './output.js'
import { formatBytes, formatMilliseconds, formatRate, parseCount } from './quantities.js'
import { pause } from './tail.js'
import { parseCommand, UsageError } from './usage.js'

const usualIntervalMs = 1000
const usualWindow = 10_000
const lookMs = 2

/** The last so many of what is measured. */
class Window {
  readonly #values: number[] = []
  #at = 0
  constructor(readonly size: number) {}

  add(value: number): void {
    this.#values[this.#at] = value
    this.#at = (this.#at + 1) % this.size
  }

  get facts(): Facts | undefined {
    const { length } = this.#values
    if (length === 0) return undefined
    let sum = 0
    let min = Infinity
    let max = -Infinity
    for (const value of this.#values) {
      sum += value
      if (value < min) min = value
      if (value > max) max = value
    }
    const mean = sum / length
    let squares = 0
    for (const value of this.#values) squares += (value - mean) ** 2
    return { mean, min, max, deviation: Math.sqrt(squares / length), count: length }
  }
}

interface Facts {
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly deviation: number
  readonly count: number
}

/** One channel, and what came of it. */
class Measured {
  messages = 0
  bytes = 0
  readonly gaps: Window
  readonly sizes: Window
  #last: number | undefined

  constructor(
    readonly watched: ChannelWatch,
    window: number,
  ) {
    this.gaps = new Window(window)
    this.sizes = new Window(window)
  }

  look(): void {
    let missed = this.watched.missed
    for (;;) {
      const seen = this.watched.read()
      const now = performance.now()
      // What went by unseen came, too: it counts, and its gap is not known.
      const more = Number(this.watched.missed - missed)
      missed = this.watched.missed
      if (more > 0) {
        this.messages += more
        this.#last = undefined
      }
      if (seen.length === 0) return
      for (const { length, publishedAt, op, state } of seen) {
        // A dead letter was a job before.
        if (op === 'job' && state === 'dead') continue
        const at = publishedAt === undefined ? now : Number(publishedAt) / 1e6
        if (this.#last !== undefined) this.gaps.add(Math.max(at - this.#last, 0))
        this.#last = at
        this.messages++
        this.bytes += length
        this.sizes.add(length)
      }
    }
  }
}

export function hz(args: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  return measure('hz', args, signal)
}

export function bw(args: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  return measure('bw', args, signal)
}

async function measure(
  command: 'hz' | 'bw',
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const parsed = parseCommand(command, args, ['interval', 'window', 'count', 'kind'], ['json'])
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  if (positionals.length === 0) throw new UsageError('no name given')
  const number = (
    option: 'interval' | 'window' | 'count',
    least: number,
    usual: number,
  ): number => {
    const given = values[option]
    return given === undefined ? usual : parseCount(`--${option}`, given, least, 2 ** 31)
  }
  const interval = number('interval', 100, usualIntervalMs)
  const window = number('window', 2, usualWindow)
  const count = number('count', 1, Infinity)
  const all: Measured[] = []
  try {
    for (const name of positionals) {
      // What it cannot be, watch() says.
      const kind = values.kind as ObservedKind | undefined
      all.push(new Measured(watch(nameHere(command, name), { most: 0, kind }), window))
    }
    // What is there now is not what comes.
    for (const { watched } of all) while (watched.read().length > 0);
    const began = performance.now()
    let told = began
    let before = all.map(({ messages, bytes }) => ({ messages, bytes }))
    for (let tables = 0; tables < count && !signal.aborted;) {
      await pause(lookMs, signal)
      for (const one of all) one.look()
      const now = performance.now()
      if (now - told < interval) continue
      const rows = all.map((one, at) => rowOf(one, before[at]!, (now - told) / 1000))
      await written(values.json === true ? jsonOf(rows) : table(command, rows))
      before = all.map(({ messages, bytes }) => ({ messages, bytes }))
      told = now
      tables++
    }
    if (!signal.aborted) return undefined
    // The reason is a broken pipe, or somebody who has seen enough.
    const seconds = (performance.now() - began) / 1000
    const rows = all.map((one) => rowOf(one, { messages: 0, bytes: 0 }, seconds))
    const title = `\nin ${formatMilliseconds(seconds * 1000)}:\n`
    await written(values.json === true ? jsonOf(rows) : `${title}${table(command, rows)}`)
    return 0
  } finally {
    for (const { watched } of all) watched.close()
  }
}

interface Row {
  readonly name: string
  readonly kind: string
  readonly messages: number
  readonly rate: number
  readonly bytesPerSecond: number
  readonly gap: Facts | undefined
  readonly size: Facts | undefined
  readonly missed: number
}

function rowOf(
  one: Measured,
  before: { readonly messages: number; readonly bytes: number },
  seconds: number,
): Row {
  const { name, kind, missed } = one.watched
  const messages = one.messages - before.messages
  const size = one.sizes.facts
  const seen = one.bytes - before.bytes
  return {
    name,
    kind,
    messages,
    rate: messages / seconds,
    bytesPerSecond: seen / seconds,
    gap: one.gaps.facts,
    size,
    missed: Number(missed),
  }
}

function jsonOf(rows: readonly Row[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

const headings = {
  hz: ['NAME', 'HZ', 'MIN', 'MAX', 'STD DEV', 'WINDOW', 'MISSED'],
  bw: ['NAME', 'BYTES/S', 'MIN', 'MEAN', 'MAX', 'MESSAGES', 'MISSED'],
} as const
/** So that a row has 80 columns at most. */
const longestName = 24

function table(command: 'hz' | 'bw', rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { gap, size } = row
    const name = row.name.length > longestName ? `${row.name.slice(0, longestName - 1)}…` : row.name
    const missed = row.missed === 0 ? '-' : formatRate(row.missed)
    const time = (value: number | undefined): string =>
      value === undefined ? '-' : formatMilliseconds(value)
    const bytes = (value: number | undefined): string =>
      value === undefined ? '-' : formatBytes(value)
    return command === 'hz'
      ? [
          name,
          formatRate(row.rate),
          time(gap?.min),
          time(gap?.max),
          time(gap?.deviation),
          String(gap?.count ?? 0),
          missed,
        ]
      : [
          name,
          bytes(row.bytesPerSecond),
          bytes(size?.min),
          bytes(size?.mean),
          bytes(size?.max),
          formatRate(row.messages),
          missed,
        ]
  })
  return formatColumns([headings[command], ...lines], [1, 2, 3, 4, 5, 6])
}
