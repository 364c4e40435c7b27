// `millrace replay FILE...`: what was recorded, into channels.

import { replay as begin, type Replay, type ReplayStats } from '../recording.js'
import { nameHere } from './here.js'
import { formatBytes, formatMilliseconds, parseDuration } from './quantities.js'
import { clearLine, hasLine, logAsAsked, tell, tellLog } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

const tellMs = 1000
const options = ['rate', 'start', 'end', 'topics', 'to', ...logOptions] as const
const flags = ['loop', 'paused', 'json'] as const
/** What a terminal sends, instead of a signal, where keys are read as they are. */
const interrupt = '\u0003'

/** Being told to end is no failure of a replay. */
export async function replay(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const parsed = parseCommand('replay', args, options, flags)
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  if (positionals.length === 0) throw new UsageError('replay wants a file, or more of them')
  await logAsAsked(values)
  const time = (option: 'start' | 'end') =>
    values[option] === undefined ? undefined : parseDuration(`--${option}`, values[option])
  const running = await begin(positionals, {
    rate: values.rate === undefined ? undefined : parseRate(values.rate),
    start: time('start'),
    end: time('end'),
    channels: values.topics?.split(','),
    to: values.to === undefined ? undefined : parseNames(values.to),
    loop: values.loop,
    paused: values.paused,
    signal,
  })
  const release = listenToKeys(running)
  const files = positionals
  tellLog('info', { event: 'replaying', files }, `replaying ${files.join(', ')}`)
  const tellWaiting = waitingTeller(running)
  const telling = setInterval(() => {
    tellWaiting()
    tellProgress(running)
  }, tellMs)
  try {
    const stats = await running.finished
    clearLine()
    tellLog('info', { event: 'replayed', ...stats }, `replayed: ${summary(stats).trim()}`)
    process.stdout.write(values.json === true ? `${JSON.stringify(stats)}\n` : summary(stats))
    return 0
  } finally {
    clearInterval(telling)
    release()
  }
}

function parseRate(text: string): number {
  const rate = text === 'max' ? Infinity : Number(text)
  if (rate > 0) return rate
  throw new UsageError(`--rate must be a number above 0, or max, not '${text}'`)
}

/** `NAME=OTHER,NAME=OTHER`. */
function parseNames(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const [name, other, extra] = pair.split('=')
      if (
        name === undefined ||
        name === '' ||
        other === undefined ||
        other === '' ||
        extra !== undefined
      ) {
        throw new UsageError(
          `--to must be NAME=OTHER, or several with commas between, not '${text}'`,
        )
      }
      return [name, nameHere('replay', other)]
    }),
  )
}

/** Space stands still, and goes on. Returns what gives the terminal back. */
function listenToKeys(running: Replay): () => void {
  const { stdin } = process
  if (!stdin.isTTY) return () => undefined
  const onKeys = (keys: Buffer): void => {
    const text = keys.toString()
    if (text.includes(interrupt)) process.kill(process.pid, 'SIGINT')
    else if (text.includes(' ')) {
      if (running.paused) running.resume()
      else running.pause()
      tellProgress(running)
    }
  }
  stdin.setRawMode(true).on('data', onKeys)
  return () => {
    stdin.off('data', onKeys).setRawMode(false).pause()
  }
}

/** Says it once, if a channel stays full: it is not the replay that hangs. */
function waitingTeller(running: Replay): () => void {
  let before: number | undefined
  let told: string | undefined
  return () => {
    const { sent, waitsFor } = running.stats
    const stuck = sent === before ? waitsFor : undefined
    before = sent
    if (stuck !== undefined && stuck !== told) {
      clearLine()
      tell(
        'info',
        { event: 'waiting', channel: stuck },
        `there is no room in '${stuck}': waiting until somebody reads from it`,
      )
    }
    told = stuck
  }
}

function tellProgress(running: Replay): void {
  if (!hasLine()) return
  const { time, sent } = running.stats
  const how = running.paused ? 'stands still: space goes on' : 'space stands still'
  process.stderr.write(`\r\x1b[K${formatMilliseconds(time)}, ${String(sent)} sent; ${how}`)
}

const unplayable =
  "calls, for nobody would get the answers (make them anew, with 'millrace call' or in onMessage of replay()), dead letters, and what was cut"

function summary({ sent, bytes, skipped }: ReplayStats): string {
  const passed = skipped === 0 ? '' : `; ${String(skipped)} cannot be replayed: ${unplayable}`
  return `${String(sent)} sent, ${formatBytes(bytes)}${passed}\n`
}
