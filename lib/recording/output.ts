// The files of a recording: one, or one after the other, each whole in itself.

import { channelOf, factsChannelOf, factsOf, type PayloadFacts } from './channels.js'
import { RecordFile } from './file.js'
import { McapWriter, mostChannels } from './mcap/writer.js'
import type { RecordSource, SourceMessage } from './source.js'

/** When a file is followed by the next. */
export interface SplitOptions {
  /** Bytes; a message that is larger has a file that is larger. */
  readonly maxBytes: number
  /** Milliseconds, by the times of the messages. */
  readonly maxTime: number
}

/** What is larger is a chunk of its own: it is not copied. */
const gatheredBytes = 65_536
/** A chunk is written when it has so many bytes … */
const chunkBytes = 1_048_576
/** … or when its first message has waited for so long. */
const chunkNs = 200_000_000n
/** Of the index that is written at the end, and is in memory until then. */
const mostIndexBytes = 2 ** 25
/** What a file has beside its chunks and their index, roughly. */
const besidesBytes = 4096
/** Subjects and methods that have a channel of their own in a file; what comes after them shares one. */
const mostNamed = 10_000
/** Drops are told to the file so often. */
const dropsNs = 1_000_000_000n

/** A message with the times that are written. */
export interface TimedMessage {
  readonly source: RecordSource
  readonly message: SourceMessage
  readonly logTime: bigint
  readonly publishTime: bigint
}

/** One file, while it is written. */
interface Part {
  readonly file: RecordFile
  readonly writer: McapWriter
  /** By source, what it is and its name. */
  readonly channels: Map<RecordSource, Map<string, number>>
  named: number
  since: bigint | undefined
  /** Since when, as far as it is known, something is gathered. */
  gatheredAt: bigint | undefined
  toldDrops: string
  toldDropsAt: bigint
}

export class Output {
  /** Those that were written, in their order. */
  readonly files: string[] = []
  readonly #path: string
  readonly #overwrite: boolean
  readonly #isNumbered: boolean
  readonly #split: SplitOptions
  readonly #payloads: Readonly<Record<string, PayloadFacts | undefined>>
  readonly #sources: readonly RecordSource[]
  #part: Part | undefined
  #bytes = 0

  constructor(
    sources: readonly RecordSource[],
    options: {
      readonly path: string
      readonly overwrite: boolean
      /** Is also the first file numbered? */
      readonly numbered: boolean
      readonly split: SplitOptions
      readonly payloads: Readonly<Record<string, PayloadFacts | undefined>>
    },
  ) {
    this.#sources = sources
    this.#path = options.path
    this.#overwrite = options.overwrite
    this.#isNumbered = options.numbered
    this.#split = options.split
    this.#payloads = options.payloads
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytes + (this.#part?.file.bytes ?? 0)
  }

  /** Begins the next file. */
  open(started: Date): void {
    const number = this.files.length + 1
    const path = this.#isNumbered || number > 1 ? numbered(this.#path, number) : this.#path
    const file = RecordFile.create(path, { overwrite: this.#overwrite })
    const writer = new McapWriter(file, 'millrace')
    const part = {
      file,
      writer,
      channels: new Map(),
      named: 0,
      since: undefined,
      gatheredAt: undefined,
    }
    this.#part = { ...part, toldDrops: this.#drops(), toldDropsAt: 0n }
    this.files.push(path)
    writer.addMetadata('millrace', {
      format: '1',
      started: started.toISOString(),
      part: String(number),
    })
    // Of what is cut off, too, it is known what was recorded.
    for (const source of this.#sources) this.#channel(this.#part, source, plainMessage(source))
  }

  /**
   * Writes a message, or gathers it. Its bytes are not needed any more when the promise has resolved.
   *
   * @throws MillraceError (as rejection) `NO_SPACE`, `SYSTEM`
   */
  async put({ source, message, logTime, publishTime }: TimedMessage): Promise<void> {
    const { bytes } = message
    const part = await this.#partFor(bytes.byteLength, logTime)
    part.since ??= logTime
    const isNamed = this.#isNamed(part, source, message)
    const { writer } = part
    const sequence = Number(message.sequence & 0xffff_ffffn)
    const times = { sequence, logTime, publishTime }
    const facts = factsOf(message, isNamed)
    if (facts !== undefined) {
      writer.add({ channel: this.#factsChannel(part, source), data: facts, ...times })
    }
    const about = isNamed ? message : { op: message.op }
    const channel = this.#channel(part, source, about)
    const entry = { channel, data: bytes, ...times }
    if (bytes.byteLength > gatheredBytes) {
      await writer.addLarge(entry)
      return
    }
    writer.add(entry)
    if (writer.gathered >= chunkBytes) await writer.flush()
  }

  /** Writes what has waited long enough, and tells the file what was missed. `time`: of `monotonicNow()`. */
  async settle(time: bigint): Promise<void> {
    const part = this.#part
    if (part === undefined) return
    const { writer } = part
    const drops = this.#drops()
    const isDue = drops !== part.toldDrops && time - part.toldDropsAt >= dropsNs
    if (isDue) {
      this.#tellDrops(part, drops)
      part.toldDropsAt = time
    }
    if (writer.gathered === 0) part.gatheredAt = undefined
    else part.gatheredAt ??= time
    const isOld = part.gatheredAt !== undefined && time - part.gatheredAt >= chunkNs
    // It is a recording from the beginning on, if an empty one.
    if (isDue || isOld || writer.position === 0) {
      part.gatheredAt = undefined
      await writer.flush()
    }
  }

  /**
   * Makes the file whole, and closes it. What was there before is kept if there is no room for the index: the file is read without one
   * then.
   *
   * @throws MillraceError (as rejection) `NO_SPACE`, `SYSTEM`
   */
  async finish(): Promise<void> {
    const part = this.#part
    if (part === undefined) return
    this.#part = undefined
    const { file, writer } = part
    try {
      const drops = this.#drops()
      if (drops !== part.toldDrops) this.#tellDrops(part, drops)
      await writer.finish()
    } finally {
      this.#bytes += file.bytes
      file.close()
    }
  }

  /** After a failure: the file is made as whole as it can be. */
  async rescue(): Promise<void> {
    try {
      await this.finish()
    } catch {
      // The failure that led here is the one to tell, and what is whole is in the file.
    }
  }

  /** The file that a message of so many bytes goes to. */
  async #partFor(bytes: number, logTime: bigint): Promise<Part> {
    const part = this.#part!
    const { writer } = part
    const isFullEnough =
      writer.messages > 0 &&
      (writer.position + writer.gathered + writer.comingBytes + bytes + besidesBytes >
        this.#split.maxBytes ||
        writer.indexBytes > mostIndexBytes ||
        (part.since !== undefined && Number(logTime - part.since) >= this.#split.maxTime * 1e6))
    if (!isFullEnough) return part
    await this.finish()
    this.open(new Date(Number(logTime / 1_000_000n)))
    return this.#part!
  }

  /** Has it a channel of the file for its subject or method, or can it have one? */
  #isNamed(part: Part, source: RecordSource, message: SourceMessage): boolean {
    if (message.subject === undefined && message.method === undefined) return true
    if (part.channels.get(source)?.has(keyOf(message)) === true) return true
    return part.named < mostNamed
  }

  #channel(
    part: Part,
    source: RecordSource,
    message: Pick<SourceMessage, 'op' | 'subject' | 'method'>,
  ): number {
    return this.#numberOf(part, source, keyOf(message), () => {
      if (message.subject !== undefined || message.method !== undefined) part.named++
      return part.writer.addChannel(channelOf(source, message, this.#payloads[source.name] ?? {}))
    })
  }

  #factsChannel(part: Part, source: RecordSource): number {
    return this.#numberOf(part, source, 'facts', () =>
      part.writer.addChannel(factsChannelOf(source)),
    )
  }

  #numberOf(part: Part, source: RecordSource, key: string, add: () => number): number {
    let own = part.channels.get(source)
    if (own === undefined) part.channels.set(source, (own = new Map<string, number>()))
    const known = own.get(key)
    if (known !== undefined) return known
    const number = add()
    own.set(key, number)
    return number
  }

  #drops(): string {
    return JSON.stringify(this.#sources.map(({ name, missed }) => [name, String(missed)]))
  }

  #tellDrops(part: Part, drops: string): void {
    part.toldDrops = drops
    part.writer.addMetadata(
      'millrace.dropped',
      Object.fromEntries(
        this.#sources.map(({ kind, name, missed }) => [`${kind}/${name}`, String(missed)]),
      ),
    )
  }
}

/** Each source has one channel from the beginning. */
function plainMessage({ kind }: RecordSource): Pick<SourceMessage, 'op'> {
  const ops = {
    queue: 'message',
    work: 'job',
    pipeline: 'job',
    topics: 'message',
    calls: 'request',
    frames: 'frame',
    cell: 'value',
  } as const
  return { op: ops[kind] }
}

function keyOf({ op, subject, method }: Pick<SourceMessage, 'op' | 'subject' | 'method'>): string {
  return `${op}\0${subject ?? method ?? ''}`
}

/** `a.mcap` is `a-0001.mcap`. */
export function numbered(file: string, number: number): string {
  const path = process.getBuiltinModule('node:path')
  const end = path.extname(file)
  const begin = end === '' ? file : file.slice(0, -end.length)
  return `${begin}-${String(number).padStart(4, '0')}${end}`
}

/** So many sources a recording may have: each has two channels in a file, and subjects have some. */
export const mostSources = (mostChannels - mostNamed) / 4
