// Where replayed messages go: the channels that they came from, or others of the same kind.

import { MillraceError } from '../errors.js'
import type { RecordedMessage, RecordingChannel } from './recording.js'
import { recordedKinds, type RecordedKind } from './source.js'

/** A channel that messages go to. */
export interface Target {
  /** Resolves when the channel has it; to false if it is not to have it. */
  put(message: RecordedMessage, signal: AbortSignal): Promise<unknown>
  close(): void
}

/** What is to be opened. */
export interface TargetPlan {
  readonly name: string
  readonly kind: RecordedKind
  /** What the channel was called that was recorded. */
  readonly recorded: string
  /** What the recording takes it for. */
  readonly recordedKind: RecordedKind
  readonly facts: Readonly<Record<string, string>>
}

/** What can be replayed; what is missing is passed over. */
const openers: Readonly<Partial<Record<RecordedKind, (plan: TargetPlan) => Target>>> = {
  queue,
  work,
  pipeline,
  topics,
  frames,
  cell,
}

/** Can messages of this kind be replayed? */
export function isReplayed(kind: RecordedKind): boolean {
  return openers[kind] !== undefined
}

/**
 * Where the messages of these channels go. `to`: other names, by those of the recording. Of a channel that nothing is said of but its name,
 * the kind is that of the channel which is there.
 *
 * @throws MillraceError `EXISTS`: there is a channel of that name, and it is another kind
 */
export function plansFor(
  channels: readonly RecordingChannel[],
  to: Readonly<Record<string, string | undefined>>,
): TargetPlan[] {
  const plans = new Map<string, TargetPlan>()
  for (const { name: recorded, kind, facts, foreign } of channels) {
    const name = to[recorded] ?? recorded
    const found = foreign ? (kindsOf(name).find(takesAnything) ?? kind) : kind
    const plan = { name, kind: found, recorded, recordedKind: kind, facts }
    plans.set(`${kind}\0${recorded}`, plan)
  }
  const all = [...plans.values()]
  for (const plan of all) judge(plan, all)
  return all
}

/** What came from elsewhere is bytes without a subject. */
function takesAnything(kind: RecordedKind): boolean {
  return kind === 'queue' || kind === 'work' || kind === 'frames' || kind === 'cell'
}

function judge({ name, kind, recorded }: TargetPlan, all: readonly TargetPlan[]): void {
  const there = kindsOf(name)
  if (there.length === 0 || there.includes(kind)) return
  // Kinds have names of their own; but two that have the same, and belong together, are in the recording together.
  if (all.some((other) => other.name === name && there.includes(other.kind))) return
  throw new MillraceError(
    'ERR_MILLRACE_EXISTS',
    `'${name}' is ${nouns[there[0]!]}, and what was recorded of '${recorded}' is of ${nouns[kind]}: replay it into a channel of that kind, or a new one, by another name`,
  )
}

const nouns: Readonly<Record<RecordedKind, string>> = {
  queue: 'a queue',
  work: 'a work queue',
  pipeline: 'a pipeline',
  topics: 'a bus',
  calls: 'calls',
  frames: 'a frame channel',
  cell: 'a cell',
}

/** The kinds of channels there are by that name. */
function kindsOf(name: string): RecordedKind[] {
  const { observe } = require('../telemetry/observe.js') as typeof import('../telemetry/observe.js')
  return observe({ name }).flatMap(({ kind, state }) => {
    const known = recordedKinds.find((one) => one === kind)
    return known === undefined || state === 'corrupt' || state === 'foreign' ? [] : [known]
  })
}

/**
 * Opens it: as it was, unless it is there and is otherwise.
 *
 * @throws MillraceError as its kind of channel
 */
export function openTarget(plan: TargetPlan): Target {
  return openers[plan.kind]!(plan)
}

/** A number that a channel was made with. */
function fact({ facts }: TargetPlan, key: string): number | undefined {
  const value = Number(facts[key])
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}

/** What is there already may be of other sizes. */
function asItWas<T, Options extends object>(
  open: (options: Options | undefined) => T,
  options: Options,
): T {
  try {
    return open(options)
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_GEOMETRY') throw error
    return open(undefined)
  }
}

function queue(plan: TargetPlan): Target {
  const { SpscQueue } = require('../queue/spsc-queue.js') as typeof import('../queue/spsc-queue.js')
  const producer = asItWas((options) => SpscQueue.producer(plan.name, options), {
    capacity: fact(plan, 'capacity'),
  })
  return {
    put: ({ bytes }, signal) => producer.push(bytes, { signal }),
    close() {
      producer.close()
    },
  }
}

function work(plan: TargetPlan): Target {
  const { WorkQueue } = require('../work/work-queue.js') as typeof import('../work/work-queue.js')
  const jobs = asItWas((options) => WorkQueue.open(plan.name, options), {
    jobs: fact(plan, 'jobs'),
    bytes: fact(plan, 'bytes'),
  })
  return {
    put: ({ bytes, priority, id, group }, signal) =>
      jobs.push(bytes, { priority, id, group, signal }),
    close() {
      jobs.close()
    },
  }
}

/** Its stages are what its program says: it must be there. */
function pipeline({ name }: TargetPlan): Target {
  const { Pipeline } = require('../work/pipeline.js') as typeof import('../work/pipeline.js')
  const stages = Pipeline.attach(name)
  return {
    put({ bytes, priority, id, group, stage }, signal) {
      // It comes to later ones by itself.
      if (stage !== undefined && stage !== stages.stages[0]) return Promise.resolve(false)
      return stages.push(bytes, { priority, id, group, signal })
    },
    close() {
      stages.close()
    },
  }
}

function topics(plan: TargetPlan): Target {
  const { Topics } = require('../topics/topics.js') as typeof import('../topics/topics.js')
  const bus = asItWas((options) => Topics.open(plan.name, options), {
    messages: fact(plan, 'messages'),
    bytes: fact(plan, 'bytes'),
  })
  return {
    put: ({ bytes, subject = plan.recorded, headers }, signal) =>
      bus.publish(subject, bytes, { headers, signal }),
    close() {
      bus.close()
    },
  }
}

function frames(plan: TargetPlan): Target {
  const { FrameWriter } =
    require('../frames/frame-writer.js') as typeof import('../frames/frame-writer.js')
  const open = (slotBytes: number) =>
    FrameWriter.create(plan.name, { slotBytes, slots: fact(plan, 'slots') })
  let writer = fact(plan, 'slotBytes') === undefined ? undefined : open(fact(plan, 'slotBytes')!)
  return {
    async put({ bytes, header }, signal) {
      // Of what others recorded nobody knows how large it will be; the first one says it.
      writer ??= open(bytes.length)
      const frame = await writer.loan({ signal })
      try {
        frame.write(bytes)
        frame.publish({ byteLength: bytes.length, header })
      } finally {
        frame.discard()
      }
    },
    close() {
      writer?.close()
    },
  }
}

function cell(plan: TargetPlan): Target {
  const { Cell } = require('../cell/cell.js') as typeof import('../cell/cell.js')
  const open = (maxBytes: number) => Cell.writer(plan.name, { maxBytes })
  let writer = fact(plan, 'maxBytes') === undefined ? undefined : open(fact(plan, 'maxBytes')!)
  return {
    put({ bytes }) {
      writer ??= open(Math.max(bytes.length, 1))
      return Promise.resolve(writer.write(bytes))
    },
    close() {
      writer?.close()
    },
  }
}
