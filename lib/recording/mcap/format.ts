// The words of MCAP, version 0 of the format: https://mcap.dev/spec. All numbers are little-endian.

/** What each file begins and ends with. */
export const magic = Buffer.from([0x89, 0x4d, 0x43, 0x41, 0x50, 0x30, 0x0d, 0x0a])

/** What a record is. Others are of later versions, or a program's own: they are passed over. */
export const Op = {
  header: 0x01,
  footer: 0x02,
  schema: 0x03,
  channel: 0x04,
  message: 0x05,
  chunk: 0x06,
  messageIndex: 0x07,
  chunkIndex: 0x08,
  statistics: 0x0b,
  metadata: 0x0c,
  metadataIndex: 0x0d,
  summaryOffset: 0x0e,
  dataEnd: 0x0f,
} as const

/** Of each record: what it is, and the length of what follows. */
export const headBytes = 9

/** A footer has no more and no less. */
export const footerBytes = 20

/** What the payloads of channels look like. */
export interface SchemaFacts {
  /** What it is called. */
  readonly name: string
  /** How it is written down, such as `jsonschema`; empty if it is not known. */
  readonly encoding: string
  /** The schema. */
  readonly data: Uint8Array
}

/** What there is to a channel of a file. */
export interface ChannelFacts {
  /** What it is called. */
  readonly topic: string
  /** How payloads are encoded, such as `json`; empty if that is not known. */
  readonly encoding: string
  /** What is known besides. */
  readonly metadata: Readonly<Record<string, string>>
  /** Left out if there is none. */
  readonly schema?: SchemaFacts | undefined
}
