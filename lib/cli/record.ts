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
import { clearLine, errorFacts, hasLine, logAsAsked, tell, tellLog } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

const options = [
  'output',
  'max-size',
  'max-time',
  'last',
  'last-size',
  'interval',
  'from',
  'kind',
  ...logOptions,
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
  await logAsAsked(values)
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
  tell(
    'info',
    { event: 'recording', channels: names, file: output },
    isHolding
      ? `the last ${formatMilliseconds(last)} of ${said} are in memory: 'kill -USR1 ${String(process.pid)}' writes them`
      : `recording ${said}: SIGINT ends it`,
  )
  const telling = setInterval(tellProgress(recorder, isHolding), tellMs)
  try {
    await recorder.finished
    return 0
  } finally {
    clearInterval(telling)
    clearLine()
    // Also of one that has failed: what was written before is kept.
    const { stats } = recorder
    const { recorded, dropped, files } = stats
    tellLog(
      'info',
      { event: 'recorded', recorded, dropped, files },
      `${String(recorded)} messages are recorded, ${String(dropped)} dropped`,
    )
    process.stdout.write(values.json === true ? `${JSON.stringify(stats)}\n` : summary(stats))
  }
}

async function trigger(recorder: Recorder): Promise<void> {
  try {
    const file = await recorder.trigger()
    clearLine()
    if (file === undefined) tell('info', { event: 'nothing-held' }, 'there is nothing in memory')
    else tell('info', { event: 'written', file }, `written: ${file}`)
  } catch (error) {
    clearLine()
    const facts = errorFacts(error)
    tell('error', { event: 'not-written', error: facts }, facts.message)
  }
}

/** On a terminal one line that changes; elsewhere a line when messages were missed. */
function tellProgress(recorder: Recorder, isHolding: boolean): () => void {
  let before = new Map<string, number>()
  return () => {
    const { stats } = recorder
    const now = new Map(
      stats.channels.map(({ kind, name, dropped }) => [`${kind} ${name}`, dropped]),
    )
    for (const { kind, name: channel, dropped } of stats.channels) {
      const named = `${kind} ${channel}`
      if (dropped === (before.get(named) ?? 0)) continue
      clearLine()
      tell(
        'warn',
        { event: 'dropped', channel, kind, dropped },
        `${named}: ${String(dropped)} dropped`,
      )
    }
    before = now
    if (!hasLine()) return
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
