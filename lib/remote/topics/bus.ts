// A bus whose memory is elsewhere: the same class to its user, over a connection to a process that shares the bus.

import { bytesOf, type ByteSource } from '../../base/bytes.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import {
  checkOptions,
  duration,
  checkSignal,
  readWait,
  show,
  waitNames,
  wholeNumber,
  type WaitOptions,
} from '../../base/options.js'
import { now } from '../../base/time.js'
import { sending, traced } from '../../base/tracing.js'
import { abortedError, closedError, invalidArgument, MillraceError } from '../../errors.js'
import type { GroupParts, TopicsWanted } from '../../topics/elsewhere.js'
import type { GroupSubscription } from '../../topics/group.js'
import { plainHeaders, type Headers } from '../../topics/headers.js'
import type { TopicLoan } from '../../topics/loan.js'
import {
  readSubscribe,
  type GroupOptions,
  type PublishOptions,
  type SubscribeOptions,
  type Wanted,
} from '../../topics/options.js'
import type { TopicsStats } from '../../topics/stats.js'
import { checkSubject } from '../../topics/subjects.js'
import type { Topics } from '../../topics/topics.js'
import { tracedTopics } from '../../topics/tracing-topics.js'
import type { TopicsTraits } from '../../topics/traits.js'
import type { WorkTraits } from '../../work/traits.js'
import type { Backoff } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Session } from '../../net/session.js'
import { nothing } from '../headed.js'
import { Liveness } from '../liveness.js'
import { unsupported } from '../unsupported.js'
import type { BusFacts, TopicsLine } from './contract.js'
import { RemoteGroup, type DialGroup } from './group.js'
import { RemoteTopicLoan } from './loan.js'
import { RemoteSubscription, type RemoteBus } from './subscription.js'

/** How a bus elsewhere is reached. */
export interface RemoteTopicsOptions {
  readonly address: string
  readonly backoff: Backoff | undefined
  readonly dial: (
    signal: AbortSignal,
  ) => Promise<{ readonly line: TopicsLine; readonly hold: (alive: boolean) => void }>
  readonly wanted: TopicsWanted
  /** A queue group has a connection of its own. */
  readonly dialGroup: DialGroup
  readonly group: () => GroupParts
  /** What is not as it is of a bus that a process shares. */
  readonly traits?: Partial<TopicsTraits> | undefined
  /** What is not as it is of the work queue of a group. */
  readonly groupTraits?: Partial<WorkTraits> | undefined
}

const none = { facts: {}, bytes: nothing }
const sharedTraits: TopicsTraits = Object.freeze({
  local: false,
  inPlace: false,
  immediate: false,
  groups: true,
  exactMissed: false,
  waits: true,
  replays: true,
  counts: true,
  redelivers: true,
})

type Face = Omit<Pick<Topics, keyof Topics>, 'recheck' | 'ref' | 'unref' | 'subscribe'>

/** Made by `Topics.open` with an address that is not this machine's memory. */
export class RemoteTopics implements Face {
  readonly name: string
  readonly path: string
  readonly #title: string
  readonly #session: Session<TopicsLine>
  readonly #subscriptions = new Set<RemoteSubscription>()
  readonly #bus: RemoteBus
  readonly #liveness = new Liveness()
  readonly #groups = new Set<RemoteGroup>()
  readonly #options: RemoteTopicsOptions
  #facts: BusFacts | undefined
  #traits: TopicsTraits | undefined
  #closed = false
  #publishes = false

  constructor(options: RemoteTopicsOptions) {
    const { address, backoff, dial, wanted } = options
    this.#options = options
    this.name = this.path = address
    this.#title = `topics '${address}'`
    const { Session } = require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Session<TopicsLine>({
      title: this.#title,
      address,
      backoff,
      dial: async (signal) => {
        const { line, hold } = await dial(signal)
        try {
          const { facts } = await line.about(none, { signal })
          this.#judge(facts, wanted)
          this.#facts = facts
          this.#liveness.attach(hold)
          if (this.#publishes) line.willPublish?.()
        } catch (error) {
          line.close()
          throw error
        }
        return line
      },
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
    const isClosed = (): boolean => this.#closed
    this.#bus = {
      name: this.name,
      title: this.#title,
      session: this.#session,
      liveness: this.#liveness,
      get closed() {
        return isClosed()
      },
      left: (subscription) => {
        this.#subscriptions.delete(subscription)
      },
    }
  }

  static {
    Object.defineProperty(this.prototype, Symbol.for('millrace.topics'), { value: true })
  }

  get messages(): number {
    return this.#known('messages').messages
  }
  get bytes(): number {
    throw this.#immediate('bytes')
  }
  get maxBytes(): number {
    return this.#known('maxBytes').maxBytes
  }
  get subjects(): number {
    return this.#known('subjects').subjects
  }
  get subscriptions(): number {
    return this.#known('subscriptions').subscriptions
  }
  get seats(): number {
    return this.#known('seats').seats
  }
  get traits(): TopicsTraits {
    return (this.#traits ??= Object.freeze({ ...sharedTraits, ...this.#options.traits }))
  }
  /** How the connection stands. */
  get connection(): ConnectionStatus {
    return this.#session.status
  }
  get closed(): boolean {
    return this.#closed || this.#session.state === 'closed'
  }

  stats(): TopicsStats {
    throw this.#immediate('stats()')
  }

  /** When the connection is there, and the bus is known. */
  async connected(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.#assertOpen()
    await this.#session.ready(wait)
  }

  /** @internal Before the first connection is there: what it is for, which one socket of ZeroMQ does not do with another. */
  willPublish(): void {
    this.#publishes = true
  }

  publish(subject: string, payload: ByteSource, options?: PublishOptions): Promise<number> {
    if (!sending.yes) return this.publishUnseen(subject, payload, options)
    return tracedTopics().tracedPublish(this, subject, payload, options, (those, trace) =>
      this.publishUnseen(subject, payload, those, trace),
    )
  }

  /** @internal The same, and nobody who looks on sees it. `trace`: what goes along. */
  publishUnseen(
    subject: string,
    payload: ByteSource,
    options?: PublishOptions,
    trace?: Uint8Array,
  ): Promise<number> {
    try {
      checkSubject(subject)
      const given = readPublish(options, trace)
      const bytes = bytesOf(payload, 'the payload')
      this.#assertOpen()
      return this.#publish(subject, bytes, given)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async publishBatch(
    subject: string,
    payloads: readonly ByteSource[],
    options?: PublishOptions,
  ): Promise<number> {
    if (!sending.yes) return await this.#publishBatch(subject, payloads, options)
    const { tracedPublish } = tracedTopics()
    return await tracedPublish(this, subject, payloads, options, (those, trace) =>
      this.#publishBatch(subject, payloads, those, trace),
    )
  }

  async #publishBatch(
    subject: string,
    payloads: readonly ByteSource[],
    options?: PublishOptions,
    trace?: Uint8Array,
  ): Promise<number> {
    checkSubject(subject)
    const given = readPublish(options, trace)
    if (!Array.isArray(payloads)) {
      throw invalidArgument(`payloads must be an array of payloads, not ${show(payloads)}`)
    }
    const all = (payloads as readonly ByteSource[]).map((payload, at) =>
      bytesOf(payload, `payloads[${String(at)}]`),
    )
    this.#assertOpen()
    const end = now() + given.timeout
    let done = 0
    for (const bytes of all) {
      const timeout = given.timeout === Infinity ? Infinity : Math.max(end - now(), 0)
      try {
        await this.#publish(subject, bytes, { ...given, timeout })
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error
        throw new MillraceError(error.code, `payloads[${String(done)}]: ${error.message}`, {
          cause: error,
          executed: error.executed,
        })
      }
      done++
    }
    return done
  }

  async loan(subject: string, length: number, options?: PublishOptions): Promise<TopicLoan> {
    checkSubject(subject)
    const given = readPublish(options)
    const bytes = wholeNumber({ length }, 'length', NaN, [0, this.#facts?.maxBytes ?? 2 ** 34])
    this.#assertOpen()
    await this.#session.ready(given)
    return new RemoteTopicLoan(this.name, subject, bytes, {
      isClosed: () => this.closed,
      publish: (view, wait) => this.publish(subject, view, { headers: given.headers, ...wait }),
    }) as unknown as TopicLoan
  }

  tryPublish(): never {
    throw this.#immediate('tryPublish()', 'publish()')
  }
  publishSync(): never {
    throw this.#immediate('publishSync()', 'publish()')
  }
  tryLoan(): never {
    throw this.#immediate('tryLoan()', 'loan()')
  }
  share(): never {
    throw unsupported(`share() of ${this.#title}`, 'share the bus where it is')
  }

  subscribe(filter: string | readonly string[], options: GroupOptions): Promise<GroupSubscription>
  subscribe(
    filter: string | readonly string[],
    options?: SubscribeOptions,
  ): Promise<RemoteSubscription>
  async subscribe(
    filter: string | readonly string[],
    options?: SubscribeOptions | GroupOptions,
  ): Promise<RemoteSubscription | GroupSubscription> {
    const most = this.#facts?.messages ?? 2 ** 19
    const wanted = readSubscribe(filter, options, most)
    this.#assertOpen()
    if (wanted.replay !== 0 && !this.traits.replays) {
      throw unsupported(
        `replay of ${this.#title}`,
        'nothing that was published before is kept; subscribe before it is published',
      )
    }
    const depth = options?.depth === undefined ? Infinity : wanted.depth
    if (wanted.queue !== '') return await this.#joined({ ...wanted, depth })
    const subscription = new RemoteSubscription(this.#bus, { ...wanted, depth })
    this.#subscriptions.add(subscription)
    await subscription.joined()
    return subscription
  }

  ref(): this {
    this.#session.keepAlive(true)
    this.#liveness.keepAlive(true)
    for (const group of this.#groups) group.ref()
    return this
  }

  unref(): this {
    this.#session.keepAlive(false)
    this.#liveness.keepAlive(false)
    for (const group of this.#groups) group.unref()
    return this
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const error = closedError(this.#title)
    for (const subscription of this.#subscriptions) subscription.end(error)
    this.#subscriptions.clear()
    for (const group of this.#groups) group.close()
    this.#session.close(error)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Topics', how, () => ({
      name: this.name,
      connection: this.connection.state,
      ...this.#facts,
      closed: this.closed,
    }))
  }

  /** What was sent when the connection broke may be published, or not: it is not published again. */
  async #publish(
    subject: string,
    bytes: Uint8Array,
    { headers, signal, timeout }: GivenPublish,
  ): Promise<number> {
    const end = now() + timeout
    const facts = headers === undefined ? { subject } : { subject, headers }
    for (let left = timeout; ; left = Math.max(end - now(), 0)) {
      const line = await this.#session.ready({ signal, timeout: left })
      this.#liveness.begun()
      try {
        const { facts: result } = await line.publish(
          { facts, bytes },
          { signal, timeout: left === Infinity ? undefined : Math.max(end - now(), 0) },
        )
        return result.matched
      } catch (error) {
        const isBroken = line.closed && error instanceof MillraceError && !this.#closed
        if (!isBroken || error.executed !== 'no') throw error
        await line.ended
      } finally {
        this.#liveness.ended()
      }
    }
  }

  async #joined(wanted: Wanted): Promise<GroupSubscription> {
    const { address, backoff, dialGroup: dial, group: parts, groupTraits: its } = this.#options
    const group = new RemoteGroup({
      ...{ address, backoff, dial, wanted, traits: its },
      parts: parts(),
      bus: this.#title,
      left: () => {
        this.#groups.delete(group)
      },
    })
    this.#groups.add(group)
    await group.joined(wanted.timeout)
    return group as unknown as GroupSubscription
  }

  #judge(facts: BusFacts, wanted: TopicsWanted): void {
    for (const what of ['messages', 'subjects', 'subscriptions', 'seats'] as const) {
      const said = wanted[what]
      if (said === undefined || said === facts[what]) continue
      throw new MillraceError(
        'ERR_MILLRACE_GEOMETRY',
        `${this.#title} was created with ${what} ${String(facts[what])}, not ${String(said)}: leave it out, or say what it has`,
      )
    }
  }

  #known(what: string): BusFacts {
    if (this.#facts !== undefined) return this.#facts
    throw new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${what} of ${this.#title} is not known before the first connection: await bus.connected() first`,
    )
  }

  #assertOpen(): void {
    if (this.closed) throw closedError(this.#title)
  }

  #immediate(what: string, instead?: string): MillraceError {
    return unsupported(
      `${what} of ${this.#title}`,
      instead === undefined
        ? 'ask where the bus is; bus.traits.immediate says in code whether it can be had'
        : `it takes a while to get an answer; await ${instead}`,
    )
  }
}

interface GivenPublish {
  readonly headers: Headers | undefined
  readonly signal: AbortSignal | undefined
  readonly timeout: number
}

/** The headers are judged here, and go as an object: they are encoded where the bus is. */
function readPublish(given: PublishOptions | undefined, trace?: Uint8Array): GivenPublish {
  const options = checkOptions(given, ['headers', ...waitNames])
  const own = plainHeaders(options.headers)
  const traceparent = trace === undefined ? undefined : traced().unpackTrace(trace)
  const headers = traceparent === undefined ? own : withContext(own, traceparent)
  const signal = checkSignal(options.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return { headers, signal, timeout: duration(options, 'timeout', Infinity) }
}

/** As they are, where there is no room for it. */
function withContext(headers: Headers | undefined, traceparent: string): Headers | undefined {
  try {
    return plainHeaders({ ...headers, traceparent })
  } catch {
    return headers
  }
}
