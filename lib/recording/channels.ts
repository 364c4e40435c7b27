// How messages of channels are messages of an MCAP file, and back.
//
// A payload is the message, as it is: whoever knows what is in it can read it with any tool. A channel of the file is a channel here, or
// of a bus a subject, of calls a method; its metadata say which. What there is to a message besides (headers, the id of a job) is a
// message of its own, JSON on the channel `NAME#facts`, that comes directly before it with the same sequence and times.

import type { ChannelFacts, SchemaFacts } from './mcap/format.js'
import {
  recordedKinds,
  type MessageFacts,
  type RecordedKind,
  type RecordedOp,
  type RecordSource,
  type SourceMessage,
} from './source.js'

/** What the payloads of a channel look like, for those who read the file with other tools. */
export interface PayloadFacts {
  /** How they are encoded, such as `json`, `protobuf`, `cdr`: the names of https://mcap.dev/spec/registry. Default: nothing is said. */
  readonly encoding?: string | undefined
  /** The schema, if there is one. */
  readonly schema?: SchemaFacts | undefined
}

/** All facts, as they are written. */
interface WrittenFacts extends MessageFacts {
  /** Of a frame, as base64. */
  readonly header?: string
  /** If it was cut: bytes that it had. */
  readonly length?: number
  /** If it is more than a file says of it. */
  readonly sequence?: string
}

/** Of a channel of a file: what it is here. */
export interface ChannelRole {
  /** The channel here. */
  readonly name: string
  readonly kind: RecordedKind
  readonly op: RecordedOp | 'facts'
  readonly subject?: string | undefined
  readonly method?: string | undefined
  /** What the channel was made with. */
  readonly facts: Readonly<Record<string, string>>
  /** Does nothing but its name say what it is? */
  readonly foreign: boolean
}

const prefix = 'millrace.'
const recordedOps = ['message', 'job', 'request', 'answer', 'frame', 'value', 'facts'] as const
const factsSchema: SchemaFacts = {
  name: 'millrace.facts',
  encoding: 'jsonschema',
  data: Buffer.from(
    JSON.stringify({
      title: 'millrace.facts',
      description: 'What there is to the next message of the channel beside its payload',
      type: 'object',
      properties: {
        subject: { type: 'string' },
        headers: { type: 'object', additionalProperties: { type: 'string' } },
        id: { type: 'string' },
        state: { enum: ['waiting', 'leased', 'dead'] },
        priority: { type: 'integer' },
        attempts: { type: 'integer' },
        group: { type: 'string' },
        stage: { type: 'string' },
        method: { type: 'string' },
        header: { type: 'string', contentEncoding: 'base64' },
        length: { type: 'integer' },
        sequence: { type: 'string' },
      },
    }),
  ),
}

/** The channel of a file that messages like this one are on. */
export function channelOf(
  { name, kind, facts }: RecordSource,
  { op, subject, method }: Pick<SourceMessage, 'op' | 'subject' | 'method'>,
  { encoding = '', schema }: PayloadFacts,
): ChannelFacts {
  const parts = [name, subject ?? method, op === 'answer' ? 'answer' : undefined]
  return {
    topic: parts.filter((part) => part !== undefined).join('/'),
    encoding,
    schema,
    metadata: metadataOf({ name, kind, op, subject, method, facts: facts ?? {} }),
  }
}

/** The one beside it, for what there is to messages besides. */
export function factsChannelOf({ name, kind }: RecordSource): ChannelFacts {
  return {
    topic: `${name}#facts`,
    encoding: 'json',
    schema: factsSchema,
    metadata: metadataOf({ name, kind, op: 'facts', facts: {} }),
  }
}

function metadataOf({ facts, ...role }: Omit<ChannelRole, 'foreign'>): Record<string, string> {
  return Object.fromEntries(
    [...Object.entries(role), ...Object.entries(facts)].flatMap(
      ([key, value]: [string, string | undefined]) =>
        value === undefined ? [] : [[prefix + key, value]],
    ),
  )
}

/** What a channel of a file is here; of a file that others have written a queue of that name. */
export function roleOf({ topic, metadata }: ChannelFacts): ChannelRole {
  const own = Object.fromEntries(
    Object.entries(metadata).flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
    ),
  )
  const { name, kind, op, subject, method, ...facts } = own
  const known = recordedKinds.find((one) => one === kind)
  const whole = recordedOps.find((one) => one === op)
  if (name === undefined || known === undefined || whole === undefined) {
    return { name: topic, kind: 'queue', op: 'message', facts: {}, foreign: true }
  }
  return { name, kind: known, op: whole, subject, method, facts, foreign: false }
}

/** What there is to a message beside its payload, as JSON; undefined if that is nothing. */
export function factsOf(message: SourceMessage, isNamed: boolean): Buffer | undefined {
  const { headers, id, state, priority, attempts, group, stage } = message
  const { header, cut, sequence, subject, method } = message
  const facts: WrittenFacts = {
    ...(isNamed ? {} : { subject, method }),
    headers: headers === undefined || Object.keys(headers).length === 0 ? undefined : headers,
    id: id === '' ? undefined : id,
    state: state === 'waiting' ? undefined : state,
    priority: priority === 0 ? undefined : priority,
    attempts: attempts === 0 ? undefined : attempts,
    group,
    stage,
    ...(header?.some((byte) => byte !== 0) === true
      ? { header: Buffer.from(header).toString('base64') }
      : {}),
    ...(cut === true && message.length !== undefined ? { length: message.length } : {}),
    ...(sequence > 0xffff_ffffn ? { sequence: String(sequence) } : {}),
  }
  const text = JSON.stringify(facts)
  return text === '{}' ? undefined : Buffer.from(text)
}

/** The same, read. Files come from anywhere: what is not as it is to be is as if it were not there. */
export function readFacts(data: Buffer): WrittenFacts {
  let facts: unknown
  try {
    facts = JSON.parse(data.toString())
  } catch {
    return {}
  }
  if (typeof facts !== 'object' || facts === null) return {}
  return Object.fromEntries(
    Object.entries(facts).filter(([key, value]) => judges[key as keyof WrittenFacts]?.(value)),
  )
}

const isText = (value: unknown): boolean => typeof value === 'string'
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

const judges: Readonly<Partial<Record<keyof WrittenFacts, (value: unknown) => boolean>>> = {
  subject: isText,
  method: isText,
  id: isText,
  group: isText,
  stage: isText,
  header: isText,
  state: (value) => value === 'waiting' || value === 'leased' || value === 'dead',
  priority: isCount,
  attempts: isCount,
  length: isCount,
  sequence: (value) => typeof value === 'string' && /^\d{1,20}$/.test(value),
  headers: (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every(isText),
}
