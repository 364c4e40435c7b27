// What stands for a queue in JetStream: a stream that forgets what was acknowledged, and one consumer that all its workers share. Asked
// for by the API that the server publishes.
//
//   NAME        subject millrace.work.NAME       what is pushed
//   NAME-dead   subject millrace.work.NAME-dead  dead letters, made with the first one
//
// What the server does not keep of a queue (attempts, the quota of dead letters) stands in the description of the stream.

import { MillraceError, type ErrorCode } from '../../errors.js'
import type { EngineQueueFacts, EngineQueueOptions } from '../port.js'
import type { NatsLine } from './connection.js'
import type { NatsPlace } from './place.js'

/** All workers of a queue share it. */
const consumer = 'millrace'
const mark = 'millrace.work.1 '
const answerMs = 5000
/** Milliseconds after which a worker that shows no sign of life has lost its job. */
const silenceMs = 10_000
const usualAttempts = 5
const usualDead = 128
const usualWindowMs = 120_000
/** Pulls that may wait at a time. */
const mostWaiting = 16_384

/** What the server says when it refuses. */
interface ApiError {
  readonly code: number
  readonly err_code?: number
  readonly description?: string
}

interface StreamConfig {
  readonly subjects?: readonly string[]
  readonly retention?: string
  readonly storage?: string
  readonly max_msgs?: number
  readonly max_bytes?: number
  readonly max_msg_size?: number
  readonly duplicate_window?: number
  readonly num_replicas?: number
  readonly description?: string
}

/** What the server does not keep. */
interface Kept {
  /** 0: no limit. */
  readonly attempts: number
  readonly dead: number
  readonly deadBytes: number | undefined
  /** Milliseconds; 0: as long as its worker lives. */
  readonly leaseMs: number
}

/** A queue as it is. */
export interface NatsQueue {
  readonly stream: string
  readonly subject: string
  readonly kept: Kept
  readonly facts: EngineQueueFacts
  /** Milliseconds until the server gives a job to somebody else. */
  readonly ackWaitMs: number
  readonly replicas: number
  /** Where pulls go. */
  readonly pulls: string
}

export function subjectOf(stream: string): string {
  return `millrace.work.${stream}`
}

const ns = (ms: number): number => Math.round(ms * 1e6)

/**
 * The queue; made if it does not exist.
 *
 * @throws MillraceError (as rejection) `UNSUPPORTED` (there is no JetStream), `GEOMETRY`, `NO_SPACE`, `PERMISSION`, `PEER_GONE`
 */
export async function openStream(
  line: NatsLine,
  { name: stream, replicas }: NatsPlace,
  wanted: EngineQueueOptions,
): Promise<NatsQueue> {
  let config = await streamOf(line, stream)
  if (config === undefined) {
    const made = await asked(line, `STREAM.CREATE.${stream}`, configOf(stream, wanted, replicas))
    // Somebody else may have made it meanwhile.
    config = made.error === undefined ? made.config : await streamOf(line, stream)
    if (config === undefined) throw apiError(line, made.error!)
  }
  const kept = keptOf(config)
  if (config.retention !== 'workqueue' || config.subjects?.length !== 1 || kept === undefined) {
    throw new MillraceError(
      'ERR_MILLRACE_GEOMETRY',
      `the stream '${stream}' at '${line.shown}' is not of millrace's making: take another name, or remove it`,
    )
  }
  judge(line, stream, { ...wanted, replicas }, kept, config)
  const ackWaitMs = kept.leaseMs === 0 ? silenceMs : kept.leaseMs
  await openConsumer(line, stream, ackWaitMs, wanted.alone === true)
  const { max_msgs: jobs = -1, max_bytes: bytes = -1, max_msg_size: longest = -1 } = config
  return {
    stream,
    subject: config.subjects[0]!,
    kept,
    ackWaitMs,
    replicas: config.num_replicas ?? 1,
    facts: {
      jobs: jobs < 0 ? Infinity : jobs,
      bytes: bytes < 0 ? Infinity : bytes,
      maxBytes: longest < 0 ? line.maxPayload : Math.min(longest, line.maxPayload),
      maxAttempts: kept.attempts,
      durability: config.storage === 'memory' ? 'memory' : 'file',
      dedups: true,
      priorities: 1,
    },
    pulls: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
  }
}

/** Where dead letters of the queue go: a queue like others, whose oldest job makes room. */
export async function openDead(
  line: NatsLine,
  { stream, kept, facts, replicas }: NatsQueue,
): Promise<string> {
  const dead = `${stream}-dead`
  const config = {
    ...configOf(
      dead,
      {
        jobs: kept.dead,
        bytes: kept.deadBytes,
        attempts: 0,
        dead: 0,
        deadBytes: undefined,
        windowMs: undefined,
        leaseMs: undefined,
        durability: facts.durability,
      },
      replicas,
    ),
    discard: 'old',
  }
  const { error } = await asked(line, `STREAM.CREATE.${dead}`, config)
  if (error !== undefined && (await streamOf(line, dead)) === undefined) throw apiError(line, error)
  return subjectOf(dead)
}

async function streamOf(line: NatsLine, stream: string): Promise<StreamConfig | undefined> {
  const { error, config } = await asked(line, `STREAM.INFO.${stream}`)
  if (error === undefined) return config
  if (error.code === 404) return undefined
  throw apiError(line, error)
}

function configOf(stream: string, wanted: EngineQueueOptions, replicas = 1): object {
  const { jobs, bytes, attempts, dead, deadBytes, windowMs, leaseMs, durability } = wanted
  const kept: Kept = {
    attempts: attempts ?? usualAttempts,
    dead: dead ?? usualDead,
    deadBytes,
    leaseMs: leaseMs ?? 0,
  }
  return {
    name: stream,
    subjects: [subjectOf(stream)],
    retention: 'workqueue',
    storage: durability === 'memory' ? 'memory' : 'file',
    discard: 'new',
    max_msgs: jobs ?? -1,
    max_bytes: bytes ?? -1,
    max_consumers: -1,
    num_replicas: replicas,
    duplicate_window: ns(windowMs === undefined || windowMs === 0 ? usualWindowMs : windowMs),
    description: mark + JSON.stringify(kept),
  }
}

function keptOf({ description }: StreamConfig): Kept | undefined {
  if (description?.startsWith(mark) !== true) return undefined
  try {
    const { attempts, dead, deadBytes, leaseMs } = JSON.parse(
      description.slice(mark.length),
    ) as Kept
    const isCount = (count: unknown): boolean =>
      Number.isSafeInteger(count) && (count as number) >= 0
    if (![attempts, dead, leaseMs].every(isCount)) return undefined
    return { attempts, dead, deadBytes: isCount(deadBytes) ? deadBytes : undefined, leaseMs }
  } catch {
    return undefined
  }
}

/** What only the engine knows of a queue; the rest is judged by whoever has opened it. */
function judge(
  line: NatsLine,
  stream: string,
  wanted: EngineQueueOptions & { readonly replicas: number | undefined },
  kept: Kept,
  { duplicate_window: window = 0, num_replicas: copies = 1 }: StreamConfig,
): void {
  const { windowMs, leaseMs, dead, replicas } = wanted
  const differences = [
    ['leaseTimeout', kept.leaseMs, leaseMs],
    ['dedupWindow', window / 1e6, windowMs === 0 ? undefined : windowMs],
    ['deadLetters.jobs', kept.dead, dead],
    ['replicas', copies, replicas],
  ] as const
  const wrong = differences.filter(([, is, said]) => said !== undefined && said !== is)
  if (wrong.length === 0) return
  throw new MillraceError(
    'ERR_MILLRACE_GEOMETRY',
    `the queue '${stream}' at '${line.shown}' was created with other options: ${wrong.map(([what, is, said]) => `${what} ${String(is)}, not ${String(said)}`).join('; ')}: ` +
      'leave them out, or say what it has',
  )
}

/** Attempts are counted by who takes: the server would leave a job that has had too many where it lies, without a word. */
async function openConsumer(
  line: NatsLine,
  stream: string,
  ackWaitMs: number,
  alone: boolean,
): Promise<void> {
  if (alone) {
    // With the consumer goes what the server believes to be in hand: a new one begins with the oldest job there is.
    const { error } = await asked(line, `CONSUMER.DELETE.${stream}.${consumer}`)
    if (error !== undefined && error.code !== 404) throw apiError(line, error)
  }
  const config = {
    durable_name: consumer,
    ack_policy: 'explicit',
    ack_wait: ns(ackWaitMs),
    deliver_policy: 'all',
    replay_policy: 'instant',
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: mostWaiting,
  }
  const { error } = await asked(line, `CONSUMER.DURABLE.CREATE.${stream}.${consumer}`, {
    stream_name: stream,
    config,
  })
  if (error !== undefined) throw apiError(line, error)
}

async function asked(
  line: NatsLine,
  what: string,
  body?: object,
): Promise<{ readonly error?: ApiError; readonly config?: StreamConfig }> {
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  let answer: Uint8Array
  try {
    answer = (await line.nats.request(`$JS.API.${what}`, bytes, { timeout: answerMs })).data
  } catch (error) {
    throw notAnswered(line, error as Error)
  }
  return JSON.parse(Buffer.from(answer).toString()) as { error?: ApiError; config?: StreamConfig }
}

/** That nobody answers for JetStream: there is none, or not yet. */
export function notAnswered(line: NatsLine, error: Error): MillraceError {
  if (!isNobody(error)) return line.told(error, 'unknown')
  if (line.nats.info?.jetstream === true) {
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `JetStream at '${line.shown}' does not answer yet: it may be starting`,
      { cause: error, executed: 'no' },
    )
  }
  return noJetStream(line, error)
}

/** Is there nobody at the server who could answer? */
export function isNobody({ name, message }: Error): boolean {
  return name === 'NoResponders' || /no responders/i.test(message)
}

function noJetStream({ shown }: NatsLine, cause?: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `the server at '${shown}' has no JetStream, and work queues need it: start it with -js, or jetstream in its configuration`,
    { cause, executed: 'no' },
  )
}

const notEnabled = [10_076, 10_039]
const noRoom = [10_023, 10_047, 10_028, 10_074]

export function apiError(
  line: NatsLine,
  { code, err_code: number = 0, description }: ApiError,
): MillraceError {
  if (notEnabled.includes(number)) return noJetStream(line)
  const kind: ErrorCode = noRoom.includes(number)
    ? 'ERR_MILLRACE_NO_SPACE'
    : code === 503
      ? 'ERR_MILLRACE_UNREACHABLE'
      : 'ERR_MILLRACE_SYSTEM'
  return new MillraceError(
    kind,
    `JetStream at '${line.shown}' refuses: ${description ?? 'it does not say why'} (${String(number)})`,
    { executed: 'no' },
  )
}
