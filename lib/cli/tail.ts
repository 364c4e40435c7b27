// `millrace tail NAME` and `millrace peek NAME`: the messages of a channel, of which none is taken away.

import {
  observe,
  watch,
  type ChannelWatch,
  type ObservedKind,
  type WatchedMessage,
} from '../telemetry.js'
import { nameHere } from './here.js'
import { formatMessage, jsonOfMessage, payloadOf } from './messages.js'
import { written } from './output.js'
import { parseBytes, parseCount } from './quantities.js'
import { paleHere, screenColumns } from './screen.js'
import { logAsAsked, tell } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

const names = ['format', 'struct', 'kind', 'bytes', 'max'] as const
const flags = ['json', 'no-color'] as const
/** Of a screen, without the line of the shell. */
const usualPeek = 20
const mostAtOnce = 256

export async function tail(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('tail', args, [...names, 'from', 'interval', ...logOptions], flags)
  if (parsed === undefined) return
  const { values, positionals } = parsed
  await logAsAsked(values)
  const name = oneName('tail', positionals)
  if (values.from !== undefined && values.from !== 'oldest' && values.from !== 'newest')
    throw new UsageError(`--from must be oldest or newest, not '${values.from}'`)
  const payload = await payloadOf(values.format, values.struct, values.bytes !== undefined)
  const max = values.max === undefined ? Infinity : parseCount('--max', values.max, 1, 2 ** 31)
  const interval =
    values.interval === undefined ? 10 : parseCount('--interval', values.interval, 1, 60_000)
  const pale = paleHere(values['no-color'])
  using watched = watch(name, {
    ...chosen(values),
    from: values.from ?? 'newest',
    interval,
  })
  let told = 0n
  const show = (message: WatchedMessage): string =>
    values.json === true
      ? jsonOfMessage(message, payload)
      : formatMessage(message, payload, screenColumns(), pale)
  let left = max
  while (left > 0) {
    if (signal.aborted) return
    const messages = watched.read(Math.min(left, mostAtOnce))
    const missed = watched.missed
    if (missed > told) {
      const unseen = Number(missed - told)
      tell(
        'warn',
        { event: 'missed', channel: name, missed: unseen },
        `${counted(unseen)} went by unseen`,
      )
      told = missed
    }
    if (messages.length === 0) {
      await pause(interval, signal)
      continue
    }
    left -= messages.length
    await written(messages.map(show).join(''))
  }
}

export async function peek(args: readonly string[]): Promise<void> {
  const parsed = parseCommand('peek', args, names, flags)
  if (parsed === undefined) return
  const { values, positionals } = parsed
  const name = oneName('peek', positionals)
  const payload = await payloadOf(values.format, values.struct, values.bytes !== undefined)
  const max =
    values.max === undefined
      ? process.stdout.isTTY
        ? Math.max(process.stdout.rows - 2, 1)
        : usualPeek
      : parseCount('--max', values.max, 1, 2 ** 31)
  const pale = paleHere(values['no-color'])
  using watched = watch(name, { ...chosen(values), from: 'oldest' })
  const { messages, more } = there(watched, max)
  if (values.json === true) {
    await written(messages.map((message) => jsonOfMessage(message, payload)).join(''))
    return
  }
  const lines = messages.map((message) => formatMessage(message, payload, screenColumns(), pale))
  const rest = more ? pale('and more: --max N\n') : ''
  await written(lines.length === 0 ? 'nothing there\n' : `${lines.join('')}${rest}`)
}

/** What is there now: dead letters first, for they are what people look for. */
function there(
  watched: ChannelWatch,
  max: number,
): { readonly messages: readonly WatchedMessage[]; readonly more: boolean } {
  const { kind, name } = watched
  const isAll = kind === 'work' || kind === 'pipeline' || kind === 'queue'
  // What lies there, and not what follows while we look.
  const seen = watched.read(isAll ? 2 ** 20 : max + 1)
  const found = kind === 'queue' ? unread(seen, name) : seen
  const dead = found.filter((message) => message.state === 'dead')
  const sorted = [...dead, ...found.filter((message) => message.state !== 'dead')]
  return { messages: sorted.slice(0, max), more: sorted.length > max }
}

/** What was read lies in the ring until it is written over. */
function unread(seen: readonly WatchedMessage[], name: string): readonly WatchedMessage[] {
  const queue = observe({ name }).find((one) => one.kind === 'queue')
  const received = queue?.kind === 'queue' ? queue.figures?.received : undefined
  return seen.filter(({ sequence }) => sequence > (received ?? 0))
}

function counted(messages: number): string {
  return messages === 1 ? '1 message' : `${String(messages)} messages`
}

export function oneName(command: string, [name, extra]: readonly string[]): string {
  if (name === undefined) throw new UsageError('no name given')
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  return nameHere(command, name)
}

function chosen(values: {
  readonly kind?: string | undefined
  readonly bytes?: string | undefined
}): { kind?: ObservedKind; most?: number } {
  return {
    // What it cannot be, watch() says.
    ...(values.kind === undefined ? {} : { kind: values.kind as ObservedKind }),
    ...(values.bytes === undefined ? {} : { most: parseBytes('--bytes', values.bytes) }),
  }
}

export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) {
      done()
      return
    }
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      done()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end, { once: true })
  })
}
