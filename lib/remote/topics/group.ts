// A member of a queue group of a bus that is elsewhere: the work queue of the group over a connection of its own, which joins before
// anything is taken.

import { forgetAbort, whenAborted } from '../../base/abort-signals.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../../base/iteration.js'
import type { WaitOptions } from '../../base/options.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import type { Backoff } from '../../net/backoff.js'
import type { GroupParts } from '../../topics/elsewhere.js'
import type { GroupSubscription } from '../../topics/group.js'
import type { TopicJob } from '../../topics/group-job.js'
import type { Wanted } from '../../topics/options.js'
import type { WorkWanted } from '../../work/elsewhere.js'
import type { WorkTraits } from '../../work/traits.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { nothing } from '../headed.js'
import { unsupported } from '../unsupported.js'
import { RemoteWorkQueue } from '../work/queue.js'
import type { RemoteWorkOptions } from '../work/session.js'
import type { GroupLine } from './group-contract.js'

/** Makes a connection to who shares the bus, for one member. */
export type DialGroup = (
  signal: AbortSignal,
) => Promise<
  { readonly line: GroupLine } & Omit<Awaited<ReturnType<RemoteWorkOptions['dial']>>, 'line'>
>

/** What a member needs to join. */
export interface RemoteGroupOptions {
  readonly address: string
  /** The bus, for messages. */
  readonly bus: string
  readonly backoff: Backoff | undefined
  readonly dial: DialGroup
  readonly wanted: Wanted
  readonly parts: GroupParts
  readonly left: () => void
  readonly traits: Partial<WorkTraits> | undefined
}

type Face = Omit<Pick<GroupSubscription, keyof GroupSubscription>, 'ref' | 'unref' | 'end'>

/** What the group's queue is like is for who has made it. */
const any: WorkWanted = {
  jobs: undefined,
  bytes: undefined,
  levels: undefined,
  seats: undefined,
  attempts: undefined,
  durability: undefined,
  dead: undefined,
  deadBytes: undefined,
  windowMs: undefined,
  leaseMs: undefined,
}

/** Made by `subscribe` of a bus elsewhere, with `queue`. */
export class RemoteGroup implements Face {
  readonly group: string
  readonly filters: readonly string[]
  readonly queue: WorkQueue
  readonly #bus: string
  readonly #title: string
  readonly #parts: GroupParts
  readonly #left: () => void
  readonly #signal: AbortSignal | undefined
  readonly #abort = {
    aborted: (): void => {
      this.close()
    },
  }
  #closed = false

  constructor({ address, bus, backoff, dial, wanted, parts, left, traits }: RemoteGroupOptions) {
    this.group = wanted.queue
    this.filters = wanted.filters
    this.#bus = bus
    this.#title = `the group ${wanted.queue} of ${bus}`
    this.#parts = parts
    this.#left = left
    const { randomUUID } = process.getBuiltinModule('node:crypto')
    const facts = {
      group: wanted.queue,
      filters: wanted.filters,
      policy: wanted.policy,
      ...(wanted.depth === Infinity ? {} : { depth: wanted.depth }),
      member: randomUUID(),
    }
    let isFirst = true
    let isRefused = false
    this.queue = new RemoteWorkQueue({
      address,
      title: this.#title,
      backoff,
      parts: parts.work,
      wanted: any,
      traits,
      dial: async (signal) => {
        const { line, ...rest } = await dial(signal)
        try {
          // What was published before was for the group as it was then.
          const replay = isFirst ? (wanted.replay as number) : 0
          await line.join({ facts: { ...facts, replay }, bytes: nothing }, { signal })
          isFirst = false
        } catch (error) {
          // What the bus refuses is refused for good; what breaks is made anew.
          isRefused = !line.closed && !signal.aborted
          line.close()
          throw error
        }
        return { line, ...rest }
      },
      isLast: () => isRefused,
    }) as unknown as WorkQueue
    this.#signal = wanted.signal
  }

  /** When it is a member. */
  async joined(timeout: number): Promise<void> {
    try {
      const queue = this.queue as unknown as RemoteWorkQueue
      await queue.connected({ signal: this.#signal, timeout })
      if (this.#signal !== undefined) whenAborted(this.#signal, this.#abort)
    } catch (error) {
      this.close()
      throw error
    }
  }

  get closed(): boolean {
    return this.#closed || this.queue.closed
  }

  async receive(options?: WaitOptions): Promise<TopicJob> {
    return this.#parts.jobOf(await this.queue.takeOne(options), this.queue, this.#title)
  }

  tryReceive(): never {
    throw unsupported(
      `tryReceive() of ${this.#title}`,
      'it takes a while to get an answer; await receive()',
    )
  }

  messages(options?: IterationOptions): Iteration<TopicJob> {
    return iterate({ take: (wait) => this.receive(wait), handle: this.queue }, options)
  }

  [Symbol.asyncIterator](): Iteration<TopicJob> {
    return this.messages()
  }

  [selectable](): Readiness {
    throw unsupported(`select() of ${this.#title}`, 'await receive()')
  }

  ref(): this {
    this.queue.ref()
    return this
  }

  unref(): this {
    this.queue.unref()
    return this
  }

  /** Leaves the group; what is in hand goes back to the others. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#signal !== undefined) forgetAbort(this.#signal, this.#abort)
    this.queue.close()
    this.#left()
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
    return inspection('GroupSubscription', how, () => ({
      topics: this.#bus,
      group: this.group,
      filters: this.filters,
      closed: this.closed,
    }))
  }
}
