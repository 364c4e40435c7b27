// Writes MCAP. Small messages are gathered to chunks; what is large is a chunk of its own, and goes from where it lies into the file by
// one `writev`. No checksum is computed: 0 says so. What is handed to the file is whole records, so that whoever is killed leaves a file
// that can be read to its last whole chunk; and chunks come in the order of their times.

import { headBytes, magic, Op, type ChannelFacts, type SchemaFacts } from './format.js'
import { RecordBytes } from './record-bytes.js'

/** Where a file goes. Takes whole records, and one call at a time. */
export interface McapSink {
  /** Resolves when all of it is written. What is given may be changed then, and not before. */
  write(buffers: readonly Uint8Array[]): Promise<void>
}

/** A message that is written. */
export interface McapMessage {
  /** What `addChannel` returned. */
  readonly channel: number
  /** Its lower 32 bits are written. */
  readonly sequence: number
  /** Nanoseconds since 1970: when it was recorded. */
  readonly logTime: bigint
  /** Likewise: when it was published. */
  readonly publishTime: bigint
  readonly data: Uint8Array
}

/** Beyond it, payload, and what an entry of the index takes. */
const messageBytes = headBytes + 22
/** Where a gathered message lies: its time and place. */
const messageIndexBytes = 16
/** Of a channel, in the index of a chunk, the entry of that in the summary, and the statistics. */
const channelIndexBytes = headBytes + 6 + 10 + 10
/** Beyond it, what is in a chunk. */
const chunkBytes = headBytes + 40
/** An entry of a message index. */
const entryBytes = 16
/** A file can have so many channels. */
export const mostChannels = 65_535

interface Channel {
  readonly facts: ChannelFacts
  readonly schema: number
  count: number
  /** Of the messages in the chunk that is gathered. */
  readonly index: RecordBytes
}

/** A chunk that is about to be in the file. */
interface ComingChunk {
  readonly at: number
  readonly bytes: number
  readonly first: bigint
  readonly last: bigint
  readonly indexes: readonly {
    readonly channel: number
    /** Where its record is. */
    readonly at: number
    readonly count: number
  }[]
  readonly indexBytes: number
}

/** Whoever calls waits for what the call before returned. */
export class McapWriter {
  /** Bytes that were handed to the file. */
  position = 0
  #gatheredMessages = 0
  readonly #sink: McapSink
  readonly #channels: Channel[] = []
  readonly #schemas: SchemaFacts[] = []
  /** What goes before the next chunk: channels, metadata. */
  readonly #ahead = new RecordBytes()
  readonly #gathered = new RecordBytes(65_536)
  /** Of the gathered chunk. */
  #first = 0n
  #last = 0n
  readonly #head = new RecordBytes(256)
  readonly #tail = new RecordBytes(256)
  readonly #chunkIndexes = new RecordBytes()
  readonly #metadataIndexes = new RecordBytes()
  #metadata = 0
  /** Of all channels and schemas. */
  #channelBytes = 0
  /** What is in the file. */
  #chunks = 0
  #messages = 0
  #start = 0n
  #end = 0n
  /** What is in it once the write is done that goes on. */
  #coming: ComingChunk[] = []

  constructor(sink: McapSink, library: string) {
    this.#sink = sink
    this.#ahead.raw(magic)
    this.#ahead.record(Op.header, () => {
      this.#ahead.text('') // the profile: messages are as they are
      this.#ahead.text(library)
    })
  }

  /** Messages that it has, also those that are gathered. */
  get messages(): number {
    return this.#messages + this.#gatheredMessages
  }

  /** Bytes that are gathered, and not handed to the file. */
  get gathered(): number {
    return this.#gathered.length
  }

  /** Bytes of memory that the index takes that is written at the end. */
  get indexBytes(): number {
    return this.#chunkIndexes.length + this.#metadataIndexes.length
  }

  /**
   * Bytes that the file will have beside what is written and gathered: channels that are to be written, and all of them once more at the end,
   * where gathered messages lie, and the index.
   */
  get comingBytes(): number {
    const { length } = this.#channels
    return (
      this.#ahead.length +
      this.#channelBytes +
      length * channelIndexBytes +
      this.#gatheredMessages * messageIndexBytes +
      this.indexBytes
    )
  }

  /** A channel, which messages name by the number that is returned. */
  addChannel(facts: ChannelFacts): number {
    const before = this.#ahead.length
    const schema = this.#schemaOf(facts.schema)
    const channel = this.#channels.length
    this.#channels.push({ facts, schema, count: 0, index: new RecordBytes(64) })
    this.#putChannel(this.#ahead, channel)
    this.#channelBytes += this.#ahead.length - before
    return channel
  }

  addMetadata(name: string, entries: Readonly<Record<string, string>>): void {
    const at = this.position + this.#ahead.length
    const before = this.#ahead.length
    this.#ahead.record(Op.metadata, () => {
      this.#ahead.text(name)
      this.#ahead.map(entries)
    })
    this.#metadata++
    const index = this.#metadataIndexes
    index.record(Op.metadataIndex, () => {
      index.u64(at)
      index.u64(this.#ahead.length - before)
      index.text(name)
    })
  }

  /** Gathers a copy of it. Who gathers writes with `flush` before it is too much. */
  add(message: McapMessage): void {
    const { channel, logTime } = message
    const gathered = this.#gathered
    if (gathered.length === 0) this.#first = this.#last = logTime
    else if (logTime < this.#first) this.#first = logTime
    else if (logTime > this.#last) this.#last = logTime
    const { index } = this.#channels[channel]!
    index.time(logTime)
    index.u64(gathered.length)
    this.#putMessage(gathered, message)
    gathered.raw(message.data)
    this.#gatheredMessages++
  }

  /** Writes what is gathered, as one chunk. */
  async flush(): Promise<void> {
    const buffers = this.#takeGathered()
    if (buffers.length > 0) await this.#write(buffers)
  }

  /**
   * Writes a message as a chunk of its own, behind what is gathered: all of that by one call, and `data` from where it lies, which must
   * stay as it is until that is done.
   */
  async addLarge(message: McapMessage): Promise<void> {
    const { channel, logTime, data } = message
    const before = this.#takeGathered()
    const at = this.position + lengthOf(before)
    const bytes = messageBytes + data.byteLength
    const head = this.#head
    head.clear()
    this.#putChunkHead(head, { first: logTime, last: logTime, bytes })
    this.#putMessage(head, message)
    const tail = this.#tail
    tail.clear()
    tail.record(Op.messageIndex, () => {
      tail.u16(channel)
      tail.counted(() => {
        tail.time(logTime)
        tail.u64(0)
      })
    })
    this.#coming.push({
      at,
      bytes,
      first: logTime,
      last: logTime,
      indexes: [{ channel, at: at + chunkBytes + bytes, count: 1 }],
      indexBytes: tail.length,
    })
    await this.#write([...before, head.bytes, data, tail.bytes])
  }

  /** Writes what is gathered, and what lets readers find their way: the file is whole then. */
  async finish(): Promise<void> {
    await this.flush()
    const summary = new RecordBytes()
    summary.record(Op.dataEnd, () => {
      summary.u32(0)
    })
    const begin = this.position
    const start = begin + summary.length
    const groups: [op: number, start: number, length: number][] = []
    const group = (op: number, write: () => void): void => {
      const at = summary.length
      write()
      if (summary.length > at) groups.push([op, begin + at, summary.length - at])
    }
    group(Op.schema, () => {
      for (const [at] of this.#schemas.entries()) this.#putSchema(summary, at)
    })
    group(Op.channel, () => {
      for (const [at] of this.#channels.entries()) this.#putChannel(summary, at)
    })
    group(Op.statistics, () => {
      this.#putStatistics(summary)
    })
    group(Op.chunkIndex, () => {
      summary.raw(this.#chunkIndexes.bytes)
    })
    group(Op.metadataIndex, () => {
      summary.raw(this.#metadataIndexes.bytes)
    })
    const offsets = begin + summary.length
    for (const [op, at, length] of groups) {
      summary.record(Op.summaryOffset, () => {
        summary.u8(op)
        summary.u64(at)
        summary.u64(length)
      })
    }
    summary.record(Op.footer, () => {
      summary.u64(start)
      summary.u64(offsets)
      summary.u32(0)
    })
    summary.raw(magic)
    await this.#write([summary.bytes])
  }

  /** If it fails, the messages that were to be written are gone, and the file may be finished without them. */
  async #write(buffers: readonly Uint8Array[]): Promise<void> {
    const coming = this.#coming
    this.#coming = []
    try {
      await this.#sink.write(buffers)
    } finally {
      this.#gathered.clear()
      this.#gatheredMessages = 0
    }
    this.#ahead.clear()
    this.position += lengthOf(buffers)
    for (const chunk of coming) this.#indexChunk(chunk)
  }

  /** Channels and metadata, and what is gathered as a chunk; they are written before anything else is gathered. */
  #takeGathered(): Uint8Array[] {
    const ahead = this.#ahead.bytes
    const gathered = this.#gathered.bytes
    const before = ahead.length === 0 ? [] : [ahead]
    if (gathered.length === 0) return before
    const first = this.#first
    const last = this.#last
    const head = new RecordBytes(chunkBytes)
    this.#putChunkHead(head, { first, last, bytes: gathered.length })
    const tail = new RecordBytes()
    const at = this.position + ahead.length
    const behind = at + chunkBytes + gathered.length
    const indexes: ComingChunk['indexes'][number][] = []
    for (const [number, { index }] of this.#channels.entries()) {
      if (index.length === 0) continue
      indexes.push({ channel: number, at: behind + tail.length, count: index.length / entryBytes })
      tail.record(Op.messageIndex, () => {
        tail.u16(number)
        tail.blob(index.bytes)
      })
      index.clear()
    }
    const bytes = gathered.length
    this.#coming.push({ at, bytes, first, last, indexes, indexBytes: tail.length })
    return [...before, head.bytes, gathered, tail.bytes]
  }

  #schemaOf(facts: SchemaFacts | undefined): number {
    if (facts === undefined) return 0
    const known = this.#schemas.findIndex(
      ({ name, encoding, data }) =>
        name === facts.name &&
        encoding === facts.encoding &&
        Buffer.compare(data, facts.data) === 0,
    )
    if (known >= 0) return known + 1
    this.#schemas.push(facts)
    this.#putSchema(this.#ahead, this.#schemas.length - 1)
    return this.#schemas.length
  }

  #putSchema(to: RecordBytes, at: number): void {
    const { name, encoding, data } = this.#schemas[at]!
    to.record(Op.schema, () => {
      to.u16(at + 1) // 0 is that there is none
      to.text(name)
      to.text(encoding)
      to.blob(data)
    })
  }

  #putChannel(to: RecordBytes, at: number): void {
    const { facts, schema } = this.#channels[at]!
    to.record(Op.channel, () => {
      to.u16(at)
      to.u16(schema)
      to.text(facts.topic)
      to.text(facts.encoding)
      to.map(facts.metadata)
    })
  }

  /** All of the record but its payload. */
  #putMessage(to: RecordBytes, message: McapMessage): void {
    to.u8(Op.message)
    to.u64(messageBytes - headBytes + message.data.byteLength)
    to.u16(message.channel)
    to.u32(message.sequence >>> 0)
    to.time(message.logTime)
    to.time(message.publishTime)
  }

  #putChunkHead(
    to: RecordBytes,
    {
      first,
      last,
      bytes,
    }: { readonly first: bigint; readonly last: bigint; readonly bytes: number },
  ): void {
    to.u8(Op.chunk)
    to.u64(chunkBytes - headBytes + bytes)
    to.time(first)
    to.time(last)
    to.u64(bytes)
    to.u32(0)
    to.text('')
    to.u64(bytes)
  }

  #indexChunk({ at, bytes, first, last, indexes, indexBytes }: ComingChunk): void {
    const to = this.#chunkIndexes
    to.record(Op.chunkIndex, () => {
      to.time(first)
      to.time(last)
      to.u64(at)
      to.u64(chunkBytes + bytes)
      to.counted(() => {
        for (const index of indexes) {
          to.u16(index.channel)
          to.u64(index.at)
        }
      })
      to.u64(indexBytes)
      to.text('')
      to.u64(bytes)
      to.u64(bytes)
    })
    if (this.#chunks === 0 || first < this.#start) this.#start = first
    if (last > this.#end) this.#end = last
    this.#chunks++
    for (const { channel, count } of indexes) {
      this.#channels[channel]!.count += count
      this.#messages += count
    }
  }

  #putStatistics(to: RecordBytes): void {
    to.record(Op.statistics, () => {
      to.u64(this.#messages)
      to.u16(this.#schemas.length)
      to.u32(this.#channels.length)
      to.u32(0)
      to.u32(this.#metadata)
      to.u32(this.#chunks)
      to.time(this.#start)
      to.time(this.#end)
      to.counted(() => {
        for (const [channel, { count }] of this.#channels.entries()) {
          to.u16(channel)
          to.u64(count)
        }
      })
    })
  }
}

function lengthOf(buffers: readonly Uint8Array[]): number {
  return buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
