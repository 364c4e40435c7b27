// A recording that was made, to look into it.

import type { SchemaFacts } from './mcap/format.js'
import { McapReader, type McapReadMessage } from './mcap/reader.js'
import { readFacts, roleOf, type ChannelRole } from './channels.js'
import { checkOptions, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { checkPath } from './file.js'
import type { MessageFacts, RecordedKind, RecordedOp } from './source.js'

/** A channel that is in a file. */
export interface RecordingChannel {
  /** The channel, as it was called here; of a file that others have written its topic. */
  readonly name: string
  /** What it is. Of a file that others have written a queue: messages. */
  readonly kind: RecordedKind
  /** What the file calls it: with the subject of a topic, or the method of a call. */
  readonly topic: string
  /** How its payloads are encoded; empty if the file does not say. */
  readonly encoding: string
  /** What they look like, if the file says so. */
  readonly schema?: SchemaFacts | undefined
  /** What it was made with, such as `capacity`. */
  readonly facts: Readonly<Record<string, string>>
  /** Have others written it? Then its kind is not known. */
  readonly foreign: boolean
}

/** A message that was recorded. */
export interface RecordedMessage extends MessageFacts {
  /** The channel, as it was called here. */
  readonly channel: string
  /** What that is. */
  readonly kind: RecordedKind
  /** What the message is. */
  readonly op: RecordedOp
  /** As its channel counted. */
  readonly sequence: bigint
  /** When it was published: nanoseconds since 1970. */
  readonly publishTime: bigint
  /** When it was recorded, likewise. */
  readonly logTime: bigint
  /** Its bytes, as they were. */
  readonly bytes: Buffer
  /** Bytes that it had; more than there are if it was cut. */
  readonly length: number
  /** Of a frame: what its writer wrote beside it. */
  readonly header?: Buffer | undefined
}

/** Which messages are read. */
export interface MessagesOptions {
  /** Milliseconds from the first message on; default 0. */
  readonly start?: number | undefined
  /** Likewise, where to end; default: at the end. */
  readonly end?: number | undefined
  /** Names of channels; default: all. Of a file that others have written its topics. */
  readonly channels?: readonly string[] | undefined
}

/**
 * A file of `record()`, or another in the format MCAP, to be looked into.
 *
 * @example
 * ```ts
 * import { openRecording } from 'millrace/recording'
 *
 * await using recording = await openRecording('camera.mcap')
 * for await (const { channel, sequence, bytes } of recording.messages()) console.log(channel, sequence, bytes.length)
 * ```
 */
export class Recording implements AsyncDisposable {
  /** The file. */
  readonly path: string
  readonly #reader: McapReader

  /** @internal */
  constructor(reader: McapReader) {
    this.#reader = reader
    this.path = reader.path
  }

  /** What wrote the file, as that says itself. */
  get library(): string {
    return this.#reader.library
  }

  /** Has it an index? Without one it is read from front to back, and what is in it is known only when it was read. */
  get indexed(): boolean {
    return this.#reader.indexed
  }

  /** Does it end in the middle? Of a file without an index that is known when it was read to its end. */
  get cut(): boolean {
    return this.#reader.cut
  }

  /** When the first message was recorded: nanoseconds since 1970; undefined if there is none, or that is not known yet. */
  get first(): bigint | undefined {
    return this.#reader.first
  }

  /** When the last one was, likewise. */
  get last(): bigint | undefined {
    return this.#reader.last
  }

  /** Its channels, as far as they are known; a new list each time. */
  get channels(): RecordingChannel[] {
    return channelsOf(this.#reader)
  }

  /** Messages that were gone before they could be recorded, by `KIND/NAME`, as far as it is known. */
  get dropped(): Readonly<Record<string, number>> {
    const told = this.#reader.metadata.findLast(({ name }) => name === 'millrace.dropped')
    return Object.fromEntries(
      Object.entries(told?.entries ?? {}).map(([name, count]) => [name, Number(count)]),
    )
  }

  /**
   * Its messages in the order in which they were recorded, read as they are asked for.
   *
   * @throws MillraceError (as rejection) `CORRUPT`, `MISSING_PEER` (it is compressed), `UNSUPPORTED` (likewise, unknown here), `TOO_LARGE`,
   *   `SYSTEM`; `INVALID_ARGUMENT`, at once
   */
  messages(options?: MessagesOptions): AsyncGenerator<RecordedMessage, void> {
    return messagesOf(this.#reader, readSelection(options))
  }

  /** Closes the file. Once is enough. */
  close(): void {
    this.#reader.close()
  }

  /** What `await using` calls at the end of its block: `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close()
    return Promise.resolve()
  }
}

/**
 * Opens a recording.
 *
 * @throws MillraceError (as rejection) `NOT_FOUND`, `PERMISSION`, `CORRUPT` (it is none), `INVALID_ARGUMENT`, `SYSTEM`
 */
export async function openRecording(file: string): Promise<Recording> {
  return new Recording(await McapReader.open(checkPath(file)))
}

/** MessagesOptions that were read. */
export interface Selection {
  readonly start: number
  readonly end: number
  readonly channels: readonly string[] | undefined
}

export const selectionNames = ['start', 'end', 'channels'] as const

/** @throws MillraceError `INVALID_ARGUMENT` */
export function readSelection(given: MessagesOptions | undefined): Selection {
  const { start = 0, end = Infinity, channels } = checkOptions(given, selectionNames)
  for (const [key, value] of Object.entries({ start, end })) {
    if (typeof value === 'number' && value >= 0) continue
    throw invalidArgument(`${key} must be a number of milliseconds, not ${show(value)}`)
  }
  if (end <= start) throw invalidArgument('end must be later than start')
  const isList =
    channels === undefined ||
    (Array.isArray(channels) && channels.every((name) => typeof name === 'string'))
  if (!isList) throw invalidArgument(`channels must be a list of names, not ${show(channels)}`)
  return { start, end, channels }
}

/**
 * Messages with what there is to them besides. `origin`: where times are counted from; of a file that is not the first of several it is the
 * first one's.
 */
export async function* messagesOf(
  reader: McapReader,
  { start, end, channels }: Selection,
  origin?: bigint,
): AsyncGenerator<RecordedMessage, void> {
  const roles = new Map<number, ChannelRole>()
  const role = (channel: number): ChannelRole => {
    let known = roles.get(channel)
    if (known === undefined) roles.set(channel, (known = roleOf(reader.channels.get(channel)!)))
    return known
  }
  const facts = new Map<string, { readonly sequence: number; readonly data: Buffer }>()
  // Without an index the first message says when it all began.
  let began = origin ?? reader.first
  const at = (ms: number): bigint | undefined =>
    began === undefined || ms === Infinity ? undefined : began + BigInt(Math.round(ms * 1e6))
  const wanted =
    channels === undefined ? undefined : (channel: number) => channels.includes(role(channel).name)
  const all = reader.messages({ start: start === 0 ? undefined : at(start), end: at(end), wanted })
  for await (const message of all) {
    began ??= message.logTime
    // Without an index, what comes later may have been recorded before.
    if (start > 0 && message.logTime < at(start)!) continue
    const last = at(end)
    if (last !== undefined && message.logTime >= last) continue
    const { channel, sequence, data } = message
    const its = role(channel)
    const key = `${its.kind}\0${its.name}`
    if (its.op === 'facts') {
      facts.set(key, { sequence, data })
      continue
    }
    const told = facts.get(key)
    facts.delete(key)
    yield recorded(
      message,
      { ...its, op: its.op },
      told?.sequence === sequence ? told.data : undefined,
    )
  }
}

function recorded(
  { sequence, logTime, publishTime, data }: McapReadMessage,
  { name, kind, op, subject, method }: ChannelRole & { readonly op: RecordedOp },
  told: Buffer | undefined,
): RecordedMessage {
  const { header, length, sequence: whole, ...facts } = told === undefined ? {} : readFacts(told)
  return {
    channel: name,
    kind,
    op,
    subject,
    method,
    ...facts,
    sequence: whole === undefined ? BigInt(sequence) : BigInt(whole),
    logTime,
    publishTime,
    bytes: data,
    length: length ?? data.length,
    ...(header === undefined ? {} : { header: Buffer.from(header, 'base64') }),
  }
}

/** The channels of a file, as far as they are known. */
export function channelsOf({ channels }: McapReader): RecordingChannel[] {
  return [...channels.values()].flatMap((channel) => {
    const { name, kind, op, facts, foreign } = roleOf(channel)
    const { topic, encoding, schema } = channel
    return op === 'facts' ? [] : [{ name, kind, topic, encoding, schema, facts, foreign }]
  })
}
