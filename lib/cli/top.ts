// `millrace top [PREFIX]`: what goes through channels, again and again. On a terminal it is a screen that keys change; elsewhere it is table
// after table, or JSON, without a sign that only terminals understand.

import { setTimeout as timeout } from 'node:timers/promises'

import { nameHere } from './here.js'
import { written } from './output.js'
import { parseCount } from './quantities.js'
import { sizeOfScreen } from './screen.js'
import { columns, Looker, matching, ordered, type Column, type Row } from './top-rows.js'
import { Screen } from './top-screen.js'
import { tableLines } from './top-table.js'
import { onePrefix, parseCommand, UsageError } from './usage.js'

const usualIntervalMs = 1000
/** Of a core it takes 1 / 20 at most, unless it was said how often it is to look. */
const share = 20

export async function top(args: readonly string[], signal: AbortSignal): Promise<void> {
  const options = ['interval', 'sort', 'filter', 'limit'] as const
  const parsed = parseCommand('top', args, options, ['reverse', 'once', 'json'])
  if (parsed === undefined) return
  const { values } = parsed
  const prefix = nameHere('top', onePrefix(parsed.positionals))
  const wanted: Wanted = {
    looker: new Looker(prefix),
    pace: paceOf(values.interval),
    order: { by: columnOf(values.sort ?? 'in'), reverse: values.reverse === true },
    filter: values.filter ?? '',
    limit:
      values.limit === undefined ? undefined : parseCount('--limit', values.limit, 1, 1_000_000),
  }
  const isScreen = process.stdout.isTTY && process.env['TERM'] !== 'dumb'
  if (isScreen && values.once !== true && values.json !== true) await onScreen(wanted, signal)
  else await asText(wanted, { once: values.once === true, json: values.json === true }, signal)
}

interface Wanted {
  readonly looker: Looker
  /** Milliseconds until the next look. */
  readonly pace: () => number
  readonly order: { readonly by: Column; readonly reverse: boolean }
  readonly filter: string
  readonly limit: number | undefined
}

/** With so many channels that a look takes long, there are fewer of them. */
function paceOf(interval: string | undefined): () => number {
  if (interval !== undefined) {
    const wished = parseCount('--interval', interval, 100, 3_600_000)
    return () => wished
  }
  let before = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(before)
    before = process.cpuUsage()
    return Math.max(usualIntervalMs, ((user + system) / 1000) * share)
  }
}

function columnOf(text: string): Column {
  const found = columns.find((column) => column === text)
  if (found !== undefined) return found
  throw new UsageError(`--sort must be one of ${columns.join(', ')}, not '${text}'`)
}

async function onScreen({ looker, pace, ...shown }: Wanted, signal: AbortSignal): Promise<void> {
  const end = new AbortController()
  const screen = new Screen({
    ...shown,
    quit: () => {
      end.abort()
    },
  })
  const ended = AbortSignal.any([signal, end.signal])
  screen.open()
  try {
    while (!ended.aborted) {
      if (!screen.isStill) screen.show(looker.look())
      await pause(pace(), ended)
    }
  } finally {
    screen.close()
  }
  signal.throwIfAborted()
}

/** The first look is only what the next one is compared with. */
async function asText(
  { looker, pace, order, filter, limit }: Wanted,
  { once, json }: { readonly once: boolean; readonly json: boolean },
  signal: AbortSignal,
): Promise<void> {
  looker.look()
  for (;;) {
    await pause(pace(), signal)
    signal.throwIfAborted()
    const rows = ordered(matching(looker.look(), filter), order)
    await written(json ? `${JSON.stringify(rows.slice(0, limit))}\n` : tableOf(rows, limit))
    if (once) return
    if (!json) await written('\n')
  }
}

function tableOf(rows: readonly Row[], limit: number | undefined): string {
  if (rows.length === 0) return 'nothing there\n'
  const { columns: width, rows: height, colours } = sizeOfScreen()
  const look = { width, colours }
  const shown = rows.slice(0, limit ?? Math.max(height - 3, 1))
  const more = rows.length - shown.length
  const lines = [...tableLines(shown, look), ...(more > 0 ? [`and ${String(more)} more`] : [])]
  return lines.map((line) => `${line}\n`).join('')
}

/** Shorter if it is all over meanwhile. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await timeout(milliseconds, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}
