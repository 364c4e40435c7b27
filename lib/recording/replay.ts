// Replays: each message when it is its turn, by the times at which they were published and a clock that only goes forward. What is next is
// read ahead; no file is in memory.

import { checkFunction, checkOptions, checkSignal, flag, show } from '../base/options.js'
import { now } from '../base/time.js'
import { invalidArgument } from '../errors.js'
import { Ahead, type Turn } from './ahead.js'
import { pause, turn } from './clock.js'
import { checkPath } from './file.js'
import { McapReader } from './mcap/reader.js'
import {
  channelsOf,
  messagesOf,
  readSelection,
  selectionNames,
  type MessagesOptions,
  type RecordedMessage,
  type RecordingChannel,
  type Selection,
} from './recording.js'
import { isReplayed, openTarget, plansFor, type Target } from './targets.js'

/** What time passes by; for tests of programs that replay. */
export interface ReplayClock {
  /** Milliseconds, which only go forward. */
  now(): number
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>
}

/** What is replayed, where to, and how fast. */
export interface ReplayOptions extends MessagesOptions {
  /** How fast: 2 is twice as fast as it was, 0.5 half as fast, Infinity as fast as the channels take it. Default 1. */
  readonly rate?: number | undefined
  /** Begin again at the end, until it is stopped? Default false. */
  readonly loop?: boolean | undefined
  /** Other names for channels, by those that they had; default: those that they had. */
  readonly to?: Readonly<Record<string, string>> | undefined
  /** Gets the messages in the place of channels, one after the other; a promise that it returns is waited for. */
  readonly onMessage?: ((message: RecordedMessage) => unknown) | undefined
  /** Begin only with `resume()`? Default false. */
  readonly paused?: boolean | undefined
  /** Default: that of the machine. */
  readonly clock?: ReplayClock | undefined
  /** Stops the replay, as `stop()` does. */
  readonly signal?: AbortSignal | undefined
}

/** What became of a replay so far. */
export interface ReplayStats {
  /** Messages that went to their channels. */
  readonly sent: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** Messages that cannot be replayed: answers and requests of calls, dead letters, and what the recording has only a part of. */
  readonly skipped: number
  /** Milliseconds of the recording that have passed in this round. */
  readonly time: number
  /** How often it was replayed to its end. */
  readonly rounds: number
  /** A channel that has no room for the next message, while that is waited for. */
  readonly waitsFor?: string
}

const names = [
  ...selectionNames,
  'rate',
  'loop',
  'to',
  'onMessage',
  'paused',
  'clock',
  'signal',
] as const

interface Settings {
  readonly files: readonly string[]
  readonly selection: Selection
  readonly rate: number
  readonly loop: boolean
  readonly to: Readonly<Record<string, string | undefined>>
  readonly onMessage: ((message: RecordedMessage) => unknown) | undefined
  readonly clock: ReplayClock
  readonly signal: AbortSignal | undefined
}

const systemClock: ReplayClock = { now, sleep: pause }

/**
 * Replays a recording, or several as one that was split, into the channels it came from, or others. Channels that are not there are made as
 * they were, where the recording says how; of what waited in them nothing is lost when the replay ends. What cannot be replayed is judged
 * before anything is sent.
 *
 * @example
 * ```ts
 * import { replay } from 'millrace/recording'
 *
 * const running = await replay('camera.mcap', { rate: 0.5, to: { camera: 'camera-again' } })
 * const { sent } = await running.finished
 * ```
 *
 * @throws MillraceError (as rejection) `NOT_FOUND`, `PERMISSION`, `CORRUPT` (no recording), `EXISTS` (a channel is of another kind),
 *   `ROLE_TAKEN` (somebody else writes to it), `INVALID_ARGUMENT`; what else opening the channels throws
 */
export async function replay(
  file: string | readonly string[],
  options?: ReplayOptions,
): Promise<Replay> {
  const settings = readSettings(file, options)
  const known = await openAll(settings.files, (reader) => ({
    first: reader.first,
    channels: channelsOf(reader),
    isAll: reader.indexed || reader.library.startsWith('millrace'),
  }))
  const channels = known.flatMap((one) => one.channels)
  if (known.every(({ isAll }) => isAll)) checkNames(settings, channels)
  const targets = new Targets(settings, channels)
  return new Replay(settings, targets, known[0]!.first, options?.paused === true)
}

async function openAll<T>(files: readonly string[], look: (reader: McapReader) => T): Promise<T[]> {
  const seen: T[] = []
  for (const file of files) {
    const reader = await McapReader.open(file)
    try {
      seen.push(look(reader))
    } finally {
      reader.close()
    }
  }
  return seen
}

/** Where messages go, opened before the first of them; or later, if the file tells of a channel only then. */
class Targets {
  readonly #settings: Settings
  /** By channels of the recording. */
  readonly #targets = new Map<string, Target | undefined>()
  /** By what is open. */
  readonly #open = new Map<string, Target>()

  constructor(settings: Settings, channels: readonly RecordingChannel[]) {
    this.#settings = settings
    if (settings.onMessage !== undefined) return
    try {
      this.#openFor(channels)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Resolves to whether it was sent. `channels`: those of its file. */
  async put(
    message: RecordedMessage,
    channels: () => RecordingChannel[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const { onMessage } = this.#settings
    if (onMessage !== undefined) {
      await onMessage(message)
      return true
    }
    if (!isReplayable(message)) return false
    const key = keyOf(message.channel, message.kind)
    if (!this.#targets.has(key)) this.#openFor(channels())
    const target = this.#targets.get(key)
    if (target === undefined) return false
    return (await target.put(message, signal)) !== false
  }

  close(): void {
    for (const target of this.#open.values()) target.close()
    this.#open.clear()
  }

  #openFor(channels: readonly RecordingChannel[]): void {
    const { selection, to } = this.#settings
    const coming = channels.filter(
      ({ name, kind }) =>
        !this.#targets.has(keyOf(name, kind)) &&
        isReplayed(kind) &&
        (selection.channels?.includes(name) ?? true),
    )
    for (const plan of plansFor(coming, to)) {
      const key = keyOf(plan.name, plan.kind)
      const target = this.#open.get(key) ?? openTarget(plan)
      this.#open.set(key, target)
      this.#targets.set(keyOf(plan.recorded, plan.recordedKind), target)
    }
  }
}

function keyOf(name: string, kind: string): string {
  return `${kind}\0${name}`
}

function isReplayable({ op, state, length, bytes }: RecordedMessage): boolean {
  return op !== 'answer' && op !== 'request' && state !== 'dead' && length === bytes.length
}

/** A replay that goes on, of `replay()`. */
export class Replay implements AsyncDisposable {
  /**
   * Resolves when it is over, and the channels are closed. Rejects with what ended it before: what a channel throws (`PEER_GONE`, `CLOSED`,
   * `TOO_LARGE` and so on), what is wrong with the file (`CORRUPT`, `MISSING_PEER`). Need not be looked at.
   */
  readonly finished: Promise<ReplayStats>
  readonly #settings: Settings
  readonly #targets: Targets
  readonly #stop = new AbortController()
  /** Ends a sleep, since something has changed. */
  #wake = new AbortController()
  #resumed: (() => void) | undefined
  #running: Promise<void> | undefined
  #rate: number
  /** When, and where in the recording, time began to pass as it does now: milliseconds. */
  #since = 0
  #from: number
  /** Nanoseconds since 1970. */
  #origin: bigint | undefined
  #sent = 0
  #bytes = 0
  #skipped = 0
  #rounds = 0
  #waitsFor: string | undefined
  #isOver = false

  /** @internal */
  constructor(settings: Settings, targets: Targets, origin: bigint | undefined, paused: boolean) {
    this.#settings = settings
    this.#targets = targets
    this.#origin = origin
    this.#rate = settings.rate
    this.#from = settings.selection.start
    this.#since = settings.clock.now()
    if (paused) this.pause()
    const { signal } = settings
    const stop = (): void => {
      this.#end()
    }
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })
    this.finished = this.#run().finally(() => {
      signal?.removeEventListener('abort', stop)
    })
    // Who does not look at it has `stop()`, which says the same.
    this.finished.catch(() => undefined)
  }

  /** What became of it so far: a snapshot, made anew each time. */
  get stats(): ReplayStats {
    return {
      sent: this.#sent,
      bytes: this.#bytes,
      skipped: this.#skipped,
      time: this.#position(),
      rounds: this.#rounds,
      ...(this.#waitsFor === undefined ? {} : { waitsFor: this.#waitsFor }),
    }
  }

  /** Does it stand still? */
  get paused(): boolean {
    return this.#running !== undefined
  }

  /** How fast it is. May be changed at any time. */
  get rate(): number {
    return this.#rate
  }

  /** @throws MillraceError `INVALID_ARGUMENT` */
  set rate(rate: number) {
    checkRate(rate)
    this.#anchor(this.#position())
    this.#rate = rate
    this.#wake.abort()
  }

  /** Stands still until `resume()`. A message that waits for room in its channel is still sent. */
  pause(): void {
    if (this.paused) return
    this.#anchor(this.#position())
    this.#running = new Promise((resolve) => {
      this.#resumed = resolve
    })
    this.#wake.abort()
  }

  /** Goes on where it stood still. */
  resume(): void {
    if (!this.paused) return
    this.#anchor(this.#from)
    this.#running = undefined
    this.#resumed?.()
  }

  /**
   * Ends it, and resolves when the channels are closed; what was sent stays in them. Once is enough.
   *
   * @throws MillraceError (as rejection) as `finished`
   */
  async stop(): Promise<ReplayStats> {
    this.#end()
    return await this.finished
  }

  /** What `await using` calls at the end of its block: `stop()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #end(): void {
    this.#stop.abort()
    this.#wake.abort()
    this.resume()
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<ReplayStats> {
    const { loop, selection } = this.#settings
    try {
      // Whoever asked for it has it by then.
      await turn()
      for (;;) {
        const before = this.#sent + this.#skipped
        await this.#round()
        // Of nothing there is no end.
        if (this.#stopped() || this.#sent + this.#skipped === before) break
        this.#rounds++
        if (!loop) break
        this.#anchor(selection.start)
      }
    } catch (error) {
      if (!this.#stopped()) throw error
    } finally {
      this.#anchor(this.#position())
      this.#isOver = true
      this.#targets.close()
    }
    return this.stats
  }

  async #round(): Promise<void> {
    for (const file of this.#settings.files) {
      if (this.#stopped()) return
      const reader = await McapReader.open(file)
      try {
        await this.#replay(reader)
      } finally {
        reader.close()
      }
    }
  }

  async #replay(reader: McapReader): Promise<void> {
    const channels = (): RecordingChannel[] => channelsOf(reader)
    const messages = messagesOf(reader, this.#settings.selection, this.#origin)
    const ahead = new Ahead(messages)
    for (;;) {
      const next = await ahead.next()
      if (next === undefined || this.#stopped()) return
      await this.#until(this.#placeOf(next))
      if (this.#stopped()) return
      const isSent = await this.#put(next.message, channels)
      if (!isSent) this.#skipped++
      else {
        this.#sent++
        this.#bytes += next.message.bytes.length
      }
    }
  }

  async #put(message: RecordedMessage, channels: () => RecordingChannel[]): Promise<boolean> {
    const { to, onMessage } = this.#settings
    const { channel } = message
    if (onMessage === undefined) this.#waitsFor = to[channel] ?? channel
    try {
      return await this.#targets.put(message, channels, this.#stop.signal)
    } finally {
      this.#waitsFor = undefined
    }
  }

  /** Milliseconds from the beginning of the recording. */
  #placeOf({ time, message }: Turn): number {
    this.#origin ??= message.logTime
    return Number(time - this.#origin) / 1e6
  }

  /** Resolves when it is the turn of what lies there, or when it was stopped. */
  async #until(place: number): Promise<void> {
    const { clock } = this.#settings
    while (!this.#stopped()) {
      if (this.#running !== undefined) {
        await this.#running
        continue
      }
      const left = (place - this.#from) / this.#rate - (clock.now() - this.#since)
      if (!(left > 0)) return
      if (this.#wake.signal.aborted) this.#wake = new AbortController()
      await clock.sleep(left, this.#wake.signal)
    }
  }

  /** Milliseconds of the recording that have passed. */
  #position(): number {
    if (this.paused || this.#isOver) return this.#from
    const passed = this.#settings.clock.now() - this.#since
    return this.#rate === Infinity ? this.#from : this.#from + passed * this.#rate
  }

  /** From now on time passes from that place on. */
  #anchor(place: number): void {
    this.#since = this.#settings.clock.now()
    this.#from = place
  }
}

function checkRate(rate: unknown): asserts rate is number {
  if (typeof rate === 'number' && rate > 0) return
  throw invalidArgument(
    `rate must be a number above 0, or Infinity for as fast as it goes, not ${show(rate)}`,
  )
}

function readSettings(
  file: string | readonly string[],
  given: ReplayOptions | undefined,
): Settings {
  const options = checkOptions(given, names)
  const { rate = 1, to = {}, onMessage, clock = systemClock, start, end, channels } = options
  checkRate(rate)
  flag(options, 'paused')
  if (onMessage !== undefined) checkFunction('onMessage', onMessage)
  const isNames =
    typeof (to as unknown) === 'object' &&
    Object.values(to).every((name) => typeof name === 'string')
  if (!isNames) throw invalidArgument(`to must be an object of names by names, not ${show(to)}`)
  const files = typeof file === 'string' ? [file] : file
  if (!Array.isArray(files) || files.length === 0) {
    throw invalidArgument('replay() takes a file, or a list of files')
  }
  return {
    files: files.map(checkPath),
    selection: readSelection({ start, end, channels }),
    rate,
    loop: flag(options, 'loop'),
    to,
    onMessage,
    clock,
    signal: checkSignal(options.signal),
  }
}

/** Nobody is to wait for a channel that does not come. */
function checkNames({ selection, to }: Settings, channels: readonly RecordingChannel[]): void {
  const known = new Set(channels.map(({ name }) => name))
  for (const name of [...(selection.channels ?? []), ...Object.keys(to)]) {
    if (known.has(name)) continue
    throw invalidArgument(
      `there is no channel '${name}' in the recording; it has: ${[...known].join(', ') || 'none'}`,
    )
  }
}
