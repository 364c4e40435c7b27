// Reads MCAP, also what others wrote: by its index in the order of time, chunk after chunk; and record by record where a file has no
// index, or was cut off, up to its last whole record. Nothing but the chunks that are read is in memory.

import { MillraceError } from '../../errors.js'
import { decompress } from './decompress.js'
import { footerBytes, headBytes, magic, Op, type ChannelFacts, type SchemaFacts } from './format.js'
import { McapInput } from './input.js'
import { damaged, RecordView } from './record-view.js'

/** A message that was read. */
export interface McapReadMessage {
  /** The number of its channel. */
  readonly channel: number
  /** As its writer counted it. */
  readonly sequence: number
  /** Nanoseconds since 1970: when it was recorded. */
  readonly logTime: bigint
  /** Likewise: when it was published. */
  readonly publishTime: bigint
  /** In memory that is not written again. */
  readonly data: Buffer
}

/** Which messages are read. */
export interface McapSelection {
  /** Recorded at this time, or later. */
  readonly start?: bigint | undefined
  /** Recorded before this time. */
  readonly end?: bigint | undefined
  /** Of these channels. */
  readonly wanted?: ((channel: number) => boolean) | undefined
}

/** What a record by the name of Metadata holds. */
export interface McapMetadata {
  readonly name: string
  readonly entries: Readonly<Record<string, string>>
}

interface ChunkIndex {
  readonly first: bigint
  readonly last: bigint
  readonly at: number
  readonly length: number
  readonly channels: readonly number[]
}

/** How the names of what we write begin. */
export const ourLibrary = 'millrace'
/** No chunk is larger: it is read as a whole. */
const largestChunk = 2 ** 31 - 1

export class McapReader {
  readonly path: string
  /** What wrote the file. */
  library = ''
  /** By their numbers; of a file without an index those that come before the first message, and more as it is read. */
  readonly channels = new Map<number, ChannelFacts>()
  /** Likewise. */
  readonly metadata: McapMetadata[] = []
  /** Of a file with an index: how many messages there are. */
  messageCount: number | undefined
  /** When the first message was recorded, if the index or the first chunk says so. */
  first: bigint | undefined
  /** When the last one was, if the index says so. */
  last: bigint | undefined
  /** Was it cut off? Of a file without an index that is known when it was read to its end. */
  cut = false
  readonly #input: McapInput
  readonly #schemas = new Map<number, SchemaFacts>()
  readonly #chunks: ChunkIndex[] = []
  /** Where messages begin. */
  #begin = magic.length

  private constructor(input: McapInput) {
    this.#input = input
    this.path = input.path
  }

  /**
   * @throws MillraceError (as rejection) `NOT_FOUND`, `PERMISSION`, `CORRUPT`, `SYSTEM`
   */
  static async open(path: string): Promise<McapReader> {
    const input = new McapInput(path)
    const reader = new McapReader(input)
    try {
      await reader.#open()
      return reader
    } catch (error) {
      input.close()
      throw error
    }
  }

  /** Is there an index? Otherwise messages come as they lie in the file. */
  get indexed(): boolean {
    return this.#chunks.length > 0
  }

  close(): void {
    this.#input.close()
  }

  /**
   * The messages: by the index in the order of their log times, else as they lie in the file.
   *
   * @throws MillraceError (as rejection) `CORRUPT`, `MISSING_PEER`, `UNSUPPORTED`, `TOO_LARGE`, `SYSTEM`
   */
  messages(selection: McapSelection = {}): AsyncGenerator<McapReadMessage, void> {
    return this.indexed ? this.#byIndex(selection) : this.#oneByOne(selection)
  }

  async #open(): Promise<void> {
    const start = await this.#input.peek(0, magic.length)
    if (!start.equals(magic)) {
      throw new MillraceError(
        'ERR_MILLRACE_CORRUPT',
        `'${this.path}' is no recording: it does not begin as MCAP files do`,
        { path: this.path },
      )
    }
    const summary = await this.#summary()
    if (summary !== undefined) {
      await this.#readSummary(summary)
      if (this.indexed || this.messageCount === 0) return
    }
    await this.#readFront()
  }

  /** The records of the summary, if there is one. */
  async #summary(): Promise<RecordView | undefined> {
    const tail = headBytes + footerBytes + magic.length
    const at = this.#input.size - tail
    if (at < magic.length) return undefined
    const bytes = await this.#input.read(at, tail)
    if (!bytes.subarray(-magic.length).equals(magic)) return undefined
    const record = new RecordView(this.path, bytes, 0, tail - magic.length).next()
    if (record?.op !== Op.footer) return undefined
    const start = record.content.u64()
    if (start === 0) return undefined
    if (start > at) throw damaged(this.path, 'its footer points beyond its end')
    return new RecordView(this.path, await this.#input.read(start, at - start))
  }

  async #readSummary(summary: RecordView): Promise<void> {
    const metadata: { readonly at: number; readonly length: number }[] = []
    for (let record = summary.next(); record !== undefined; record = summary.next()) {
      const { op, content } = record
      if (op === Op.statistics) this.#readStatistics(content)
      else if (op === Op.chunkIndex) this.#readChunkIndex(content)
      else if (op === Op.metadataIndex) metadata.push({ at: content.u64(), length: content.u64() })
      else this.#readFacts(op, content)
    }
    this.#chunks.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.at - b.at))
    if (!this.indexed) return
    for (const { at, length } of metadata) {
      const record = new RecordView(this.path, await this.#input.read(at, length)).next()
      if (record !== undefined) this.#readFacts(record.op, record.content)
    }
    const head = new RecordView(this.path, await this.#input.read(magic.length, 4096))
    const op = head.u8()
    head.u64()
    if (op === Op.header) this.#readHeader(head)
  }

  #readStatistics(content: RecordView): void {
    this.messageCount = content.u64()
    content.u16()
    for (let left = 4; left > 0; left--) content.u32()
    if (this.messageCount === 0) return
    this.first = content.time()
    this.last = content.time()
  }

  #readChunkIndex(content: RecordView): void {
    const [first, last] = [content.time(), content.time()]
    const [at, length] = [content.u64(), content.u64()]
    const channels: number[] = []
    const offsets = content.counted()
    while (offsets.at < offsets.end) {
      channels.push(offsets.u16())
      offsets.u64()
    }
    this.#chunks.push({ first, last, at, length, channels })
  }

  /** What is said before the first message. */
  async #readFront(): Promise<void> {
    let at = magic.length
    for (;;) {
      const head = await this.#headAt(at)
      if (head === undefined) break
      const { op, length } = head
      if (op === Op.message || op === Op.chunk) {
        if (op === Op.chunk) this.first ??= (await this.#chunkTimes(at)).first
        break
      }
      if (op === Op.dataEnd || op === Op.footer) break
      this.#readFacts(op, await this.#contentAt(at, length))
      at += headBytes + length
    }
    this.#begin = at
  }

  /** Of schemas, channels and metadata; others are passed over. */
  #readFacts(op: number, content: RecordView): void {
    if (op === Op.header) this.#readHeader(content)
    else if (op === Op.schema) this.#readSchema(content)
    else if (op === Op.channel) this.#readChannel(content)
    else if (op === Op.metadata) {
      this.metadata.push({ name: content.text(), entries: content.map() })
    }
  }

  #readHeader(content: RecordView): void {
    content.text()
    this.library = content.text()
  }

  #readSchema(content: RecordView): void {
    const id = content.u16()
    const facts = { name: content.text(), encoding: content.text() }
    this.#schemas.set(id, { ...facts, data: Buffer.from(content.raw(content.u32())) })
  }

  #readChannel(content: RecordView): void {
    const id = content.u16()
    const schema = this.#schemas.get(content.u16())
    if (this.channels.has(id)) return
    const facts = { topic: content.text(), encoding: content.text(), metadata: content.map() }
    this.channels.set(id, { ...facts, schema })
  }

  /** The head of a whole record; undefined at the end of what is whole. */
  async #headAt(at: number): Promise<{ readonly op: number; readonly length: number } | undefined> {
    const bytes = await this.#input.peek(at, headBytes)
    const head = new RecordView(this.path, bytes)
    const isEnd = bytes.length < headBytes
    const op = isEnd ? 0 : head.u8()
    const length = isEnd ? 0 : head.u64()
    // Where a machine fell, there may be zeros.
    if (op !== 0 && at + headBytes + length <= this.#input.size) return { op, length }
    this.cut = true
    return undefined
  }

  async #contentAt(at: number, length: number): Promise<RecordView> {
    if (length > largestChunk) throw this.#tooLarge(length)
    return new RecordView(this.path, await this.#input.read(at + headBytes, length))
  }

  async #chunkTimes(at: number): Promise<{ readonly first: bigint; readonly last: bigint }> {
    const bytes = await this.#input.peek(at + headBytes, 16)
    const content = new RecordView(this.path, bytes)
    return { first: content.time(), last: content.time() }
  }

  async *#oneByOne({ start, end, wanted }: McapSelection): AsyncGenerator<McapReadMessage, void> {
    const isWanted = ({ channel, logTime }: McapReadMessage): boolean =>
      (start === undefined || logTime >= start) &&
      (end === undefined || logTime < end) &&
      (wanted === undefined || wanted(channel))
    let at = this.#begin
    for (;;) {
      const head = await this.#headAt(at)
      if (head === undefined) return
      const { op, length } = head
      if (op === Op.dataEnd || op === Op.footer) return
      if (op === Op.chunk) {
        const { first, last } = await this.#chunkTimes(at)
        const isOut = (start !== undefined && last < start) || (end !== undefined && first >= end)
        // Others declare channels in chunks: what is in one may be needed later.
        if (!isOut || !this.library.startsWith(ourLibrary)) {
          for (const message of this.#messagesOf(await this.#contentAt(at, length))) {
            if (isWanted(message)) yield message
          }
        }
      } else if (op === Op.message) {
        const message = readMessage(await this.#contentAt(at, length))
        if (isWanted(message)) yield this.#judged(message)
      } else if (op === Op.schema || op === Op.channel || op === Op.metadata) {
        this.#readFacts(op, await this.#contentAt(at, length))
      }
      at += headBytes + length
    }
  }

  /** Chunks may overlap: what is open are those that the next message may be in. */
  async *#byIndex({ start, end, wanted }: McapSelection): AsyncGenerator<McapReadMessage, void> {
    const chunks = this.#chunks.filter(
      ({ first, last, channels }) =>
        (start === undefined || last >= start) &&
        (end === undefined || first < end) &&
        (wanted === undefined || channels.length === 0 || channels.some(wanted)),
    )
    let open: { readonly messages: McapReadMessage[]; next: number }[] = []
    let coming = 0
    for (;;) {
      let earliest = open[0]
      for (const one of open) {
        if (one.messages[one.next]!.logTime < earliest!.messages[earliest!.next]!.logTime) {
          earliest = one
        }
      }
      const message = earliest?.messages[earliest.next]
      const chunk = chunks[coming]
      if (chunk !== undefined && (message === undefined || chunk.first <= message.logTime)) {
        coming++
        const messages = await this.#chunkMessages(chunk, { start, end, wanted })
        if (messages.length > 0) open.push({ messages, next: 0 })
        continue
      }
      if (earliest === undefined || message === undefined) return
      earliest.next++
      if (earliest.next === earliest.messages.length) {
        open = open.filter((one) => one !== earliest)
      }
      yield message
    }
  }

  /** Those of a chunk that are wanted, in the order of time. */
  async #chunkMessages(
    { at, length }: ChunkIndex,
    { start, end, wanted }: McapSelection,
  ): Promise<McapReadMessage[]> {
    if (length > largestChunk) throw this.#tooLarge(length)
    const record = new RecordView(this.path, await this.#input.read(at, length)).next()
    if (record?.op !== Op.chunk) throw damaged(this.path, 'its index leads to no chunk')
    const messages: McapReadMessage[] = []
    let isOrdered = true
    for (const message of this.#messagesOf(record.content)) {
      const { channel, logTime } = message
      if (start !== undefined && logTime < start) continue
      if (end !== undefined && logTime >= end) continue
      if (wanted !== undefined && !wanted(channel)) continue
      const before = messages.at(-1)
      if (before !== undefined && before.logTime > logTime) isOrdered = false
      messages.push(message)
    }
    if (isOrdered) return messages
    return messages.sort((a, b) => (a.logTime < b.logTime ? -1 : a.logTime > b.logTime ? 1 : 0))
  }

  *#messagesOf(chunk: RecordView): Generator<McapReadMessage> {
    const records = this.#plain(chunk)
    for (let record = records.next(); record !== undefined; record = records.next()) {
      const { op, content } = record
      if (op === Op.message) yield this.#judged(readMessage(content))
      else this.#readFacts(op, content)
    }
  }

  #judged(message: McapReadMessage): McapReadMessage {
    if (this.channels.has(message.channel)) return message
    throw damaged(
      this.path,
      `a message is of channel ${String(message.channel)}, which is not there`,
    )
  }

  #plain(chunk: RecordView): RecordView {
    chunk.time()
    chunk.time()
    const size = chunk.u64()
    const sum = chunk.u32()
    const compression = chunk.text()
    const bytes = chunk.raw(chunk.u64())
    if (size > largestChunk) throw this.#tooLarge(size)
    const plain = compression === '' ? bytes : decompress(this.path, compression, bytes, size)
    if (sum !== 0 && checksum(plain) !== sum) {
      throw damaged(this.path, 'the bytes of a chunk are not those that were written')
    }
    return new RecordView(this.path, Buffer.from(plain.buffer, plain.byteOffset, plain.length))
  }

  #tooLarge(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `'${this.path}' has a chunk of ${String(length)} bytes, and no more than ${String(largestChunk)} are read at a time: write it anew in smaller chunks`,
      { path: this.path },
    )
  }
}

function readMessage(content: RecordView): McapReadMessage {
  return {
    channel: content.u16(),
    sequence: content.u32(),
    logTime: content.time(),
    publishTime: content.time(),
    data: content.rest(),
  }
}

/** As CRC-32 has it. */
function checksum(bytes: Uint8Array): number {
  const zlib = process.getBuiltinModule('node:zlib') as {
    readonly crc32?: (bytes: Uint8Array) => number
  }
  if (zlib.crc32 !== undefined) return zlib.crc32(bytes)
  const { crc32 } = require('../../net/checksum.js') as typeof import('../../net/checksum.js')
  return crc32(bytes)
}
