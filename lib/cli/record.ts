// `millrace record NAME...`: what goes through channels, into files.

import {
  record as begin,
  takePart,
  type Recorder,
  type RecorderStats,
  type RecordOptions,
  type RecordSource,
} from '../recording.js'
import { observe } from '../telemetry.js'
import { nameHere } from './here.js'
import { formatBytes, formatMilliseconds, parseBytes, parseDuration } from './quantities.js'
import { parseCommand, UsageError } from './usage.js'

const options = [
  'output',
  'max-size',
  'max-time',
  'last',
  'last-size',
  'interval',
  'from',
  'kind',
] as const
const flags = ['overwrite', 'take-part', 'json'] as const

const tellMs = 1000
const largest = 2 ** 50

/** Being told to end is how a recording ends. */
export async function record(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const parsed = parseCommand('record', args, options, flags)
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  if (positionals.length === 0) throw new UsageError('record wants the names of channels')
  const { output } = values
  if (output === undefined) throw new UsageError('record wants a file: -o FILE')
  const names = positionals.map((name) => nameHere('record', name))
  const size = (option: 'max-size' | 'last-size') =>
    values[option] === undefined ? undefined : parseBytes(`--${option}`, values[option], largest)
  const time = (option: 'max-time' | 'last' | 'interval') =>
    values[option] === undefined ? undefined : parseDuration(`--${option}`, values[option])
  const settings = {
    file: output,
    overwrite: values.overwrite,
    maxBytes: size('max-size'),
    maxTime: time('max-time'),
    last: time('last'),
    lastBytes: size('last-size'),
    interval: time('interval'),
    // What is none of them is refused by name.
    kind: values.kind as RecordOptions['kind'],
    from: values.from as RecordOptions['from'],
  }
  const isTaking = values['take-part'] === true
  const channels: (string | RecordSource)[] = []
  for (const name of names) {
    const isFrames = isTaking && observe({ name }).some(({ kind }) => kind === 'frames')
    channels.push(isFrames ? await takePart(name, { signal }) : name)
  }
  const recorder = await begin(channels, settings)
  const stop = (): void => {
    void recorder.stop().catch(() => undefined)
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  const { last } = settings
  const isHolding = last !== undefined
  if (isHolding) process.on('SIGUSR1', () => void trigger(recorder))
  const said = names.join(', ')
  process.stderr.write(
    isHolding
      ? `millrace: the last ${formatMilliseconds(last)} of ${said} are in memory: 'kill -USR1 ${String(process.pid)}' writes them\n`
      : `millrace: recording ${said}: SIGINT ends it\n`,
  )
  const telling = setInterval(tell(recorder, isHolding), tellMs)
  try {
    const stats = await recorder.finished
    process.stdout.write(values.json === true ? `${JSON.stringify(stats)}\n` : summary(stats))
    return 0
  } finally {
    clearInterval(telling)
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}

async function trigger(recorder: Recorder): Promise<void> {
  const told = await recorder.trigger().then(
    (file) => (file === undefined ? 'there is nothing in memory' : `written: ${file}`),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}millrace: ${told}\n`)
}

/** On a terminal one line that changes; elsewhere a line when messages were missed. */
function tell(recorder: Recorder, isHolding: boolean): () => void {
  let before = new Map<string, number>()
  return () => {
    const { stats } = recorder
    const now = new Map(
      stats.channels.map(({ kind, name, dropped }) => [`${kind} ${name}`, dropped]),
    )
    const isTty = process.stderr.isTTY
    for (const [name, dropped] of now) {
      if (dropped === (before.get(name) ?? 0)) continue
      process.stderr.write(
        `${isTty ? '\r\x1b[K' : ''}millrace: ${name}: ${String(dropped)} dropped\n`,
      )
    }
    before = now
    if (!isTty) return
    const where = isHolding
      ? `${String(stats.held)} in memory, ${formatBytes(stats.heldBytes)}, ${formatMilliseconds(stats.heldTime)}`
      : `${formatBytes(stats.fileBytes)} in ${stats.files.at(-1) ?? ''}`
    process.stderr.write(
      `\r\x1b[K${String(stats.recorded)} recorded, ${String(stats.dropped)} dropped; ${where}`,
    )
  }
}

function summary({ channels, files, fileBytes }: RecorderStats): string {
  const lines = channels.map(
    ({ kind, name, recorded, bytes, dropped }) =>
      `${kind} ${name}: ${String(recorded)} recorded, ${formatBytes(bytes)}, ${String(dropped)} dropped\n`,
  )
  const where =
    files.length === 0 ? 'nothing was written' : `${formatBytes(fileBytes)} in ${files.join(', ')}`
  return `${lines.join('')}${where}\n`
}
