// A bus that any number of processes publish to and subscribe to.
//
// One handle is one seat. Its publishes wait in one line for room; each of its subscriptions has a line of its own. Every step
// (publish, read) is one native call, which answers with a number.

import { native } from '../addon/native.js'
import { policies, type NativeTopics } from '../addon/topics.js'
import { checkName, readWait, type Tuning, type WaitOptions } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { ConnectionStatus } from '../net/connection-status.js'
import type { Share, ShareOptions } from '../net/share.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { nameOf, placeOf, type Place } from '../place/place.js'
import { elsewhere, type GroupParts } from './elsewhere.js'
import type { GroupSubscription } from './group.js'
import {
  readSubscribe,
  readTopicsOptions,
  type GroupOptions,
  type SubscribeOptions,
  type TopicsOptions,
  type Wanted,
} from './options.js'
import { TopicPublisher } from './publisher.js'
import { Subscription } from './subscription.js'
import type { TopicsTraits } from './traits.js'

const isBus = Symbol.for('millrace.topics')

const hereTraits: TopicsTraits = Object.freeze({
  local: true,
  inPlace: true,
  immediate: true,
  groups: true,
  exactMissed: true,
  waits: true,
  replays: true,
  counts: true,
  redelivers: true,
})

/**
 * Messages from any number of publishers to any number of subscribers, in any processes and Workers, by subjects: `line1.temp` goes
 * to whoever has subscribed to `line1.temp`, `line1.*`, `*.temp` or `>`. All messages of a bus have one order, the same for
 * everybody.
 *
 * Bounded in messages and bytes: `publish` waits for subscribers with the policy `wait`, and for no others. All calls but those
 * ending in `Sync` leave the event loop alone; calls of one handle that wait are served in order.
 *
 * @example
 * ```ts
 * using bus = Topics.open('plant')
 * const subscription = await bus.subscribe('line1.*') // in any process
 * await bus.publish('line1.temp', '21.5') // in any other
 * for await (using message of subscription) console.log(message.subject, message.text())
 * ```
 */
export class Topics extends TopicPublisher {
  readonly #named: boolean
  readonly #shares = new Set<Share>()
  /** Queues of groups that were joined, and what ends them with the bus. */
  readonly #groups = new Map<string, (name: string, isLast: boolean) => void>()
  /** What the work queue of a group is opened with, too. */
  readonly #opening: Pick<TopicsOptions, 'mode' | 'owner' | 'poll' | 'spin' | 'stats'>

  private constructor(
    place: Place,
    handle: NativeTopics,
    tuning: Tuning,
    { mode, owner, poll, spin, stats }: TopicsOptions = {},
  ) {
    super(nameOf(placeOf(place)), handle, tuning)
    this.#named = typeof place === 'string'
    this.#opening = { mode, owner, poll, spin, stats }
  }

  /**
   * Opens the bus; creates it if it does not exist. `place` may be an address as well: `shm://plant` is `plant`.
   *
   * Of any other address (`unix:///run/plant`, `tcp://127.0.0.1:7000`, `tls://…`) it is the bus that another process has and `share`s
   * there: the same calls, over a connection that is made in the background, and made anew when it breaks. `traits` says what a
   * connection cannot carry. Of `nats://host:4222/NAME` it is a bus over the subjects of a server of NATS, of `redis://host:6379/NAME` over the channels of Redis (docs/engines.md). `setResolve` and the variable `MILLRACE_ADDRESSES` put such an address in the place of a name.
   *
   * Blocks for microseconds; at most 2 s if another process is stopped in the middle of creating or leaving the same bus.
   *
   * @throws MillraceError `GEOMETRY` (it was created with other options), `NO_LANE` (all seats are taken: the message says how
   *   many there are), `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`,
   *   `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: TopicsOptions): Topics {
    const address = addressElsewhere(place)
    if (address !== undefined) {
      const { native: wanted } = readTopicsOptions('elsewhere', options)
      const group = (): GroupParts =>
        (require('./group.js') as typeof import('./group.js')).groupParts()
      return elsewhere().openTopics(address, wanted, options?.connection, group) as Topics
    }
    const wanted = readTopicsOptions(place, options)
    const handle = new native.Topics(wanted.native)
    return new Topics(place, handle, wanted.tuning, options)
  }

  /**
   * Removes the name. Who has the bus open goes on with it; new ones get a new bus. Returns whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in the middle of
   *   opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('t', placeOf(checkName(name)) as string)
  }

  /**
   * Subscribes to one filter or several. When it resolves it has joined: whatever is published from then on is received, or counted
   * as missed. A message that matches several of the filters comes once.
   *
   * With `queue` it joins a group, of which one member gets each message, as a job that is settled: see {@link GroupSubscription}.
   * Its jobs are in the work queue `BUS.GROUP`, which is opened with it; so the bus must have a name.
   *
   * @throws MillraceError (as rejection) `INVALID_ARGUMENT`, `NO_LANE` (there can be no more subscriptions), `CLOSED`, `ABORTED`,
   *   `TIMEOUT` (a process is stopped in the middle of subscribing), `CORRUPT`; of a group, `GEOMETRY` (its first member has
   *   other filters), and what `WorkQueue.open` throws
   */
  subscribe(filter: string | readonly string[], options: GroupOptions): Promise<GroupSubscription>
  subscribe(filter: string | readonly string[], options?: SubscribeOptions): Promise<Subscription>
  // eslint-disable-next-line @typescript-eslint/require-await -- what is wrong is a rejection
  async subscribe(
    filter: string | readonly string[],
    options?: SubscribeOptions | GroupOptions,
  ): Promise<Subscription | GroupSubscription> {
    const wanted = readSubscribe(filter, options, this.messages)
    this.assertOpen()
    this.assertWhole()
    const subscription =
      wanted.queue === ''
        ? new Subscription(this.bus, this.#join(wanted), wanted)
        : this.#joinGroup(wanted)
    this.subscriptionsOpen.add(subscription)
    return subscription
  }

  /** The connection of a bus elsewhere, which is made anew when it breaks; undefined: the bus is in this machine's memory. */
  get connection(): ConnectionStatus | undefined {
    return undefined
  }

  /**
   * Resolves when what the bus has is known: in memory at once, elsewhere when there was a connection. Before that, what it was opened with (`messages`,
   * `maxBytes`, `subjects`) throws `ERR_MILLRACE_BUSY`.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `TIMEOUT`, `ABORTED`, `INVALID_ARGUMENT`; elsewhere what the other side refuses
   */
  connected(options?: WaitOptions): Promise<void> {
    return new Promise((resolve) => {
      readWait(options)
      this.assertOpen()
      resolve()
    })
  }

  /** What the bus can do where it is: here, all of it. */
  get traits(): TopicsTraits {
    return hereTraits
  }

  /**
   * Shares the bus with others by an address, until it is closed, or what is returned is: `Topics.open(address)` is the other side.
   *
   * @throws MillraceError (as rejection) `EXISTS` (somebody listens there already), `UNREACHABLE`, `PERMISSION`, `CLOSED`, `ABORTED`,
   *   `INVALID_ARGUMENT`
   */
  async share(address: string, options?: ShareOptions): Promise<Share> {
    this.assertOpen()
    const share = await elsewhere().shareTopics(this, address, options)
    this.#shares.add(share)
    if (this.closed) await share.close()
    return share
  }

  /** Gives the seat back, and ends its subscriptions and what is shared of it; pending waits reject with `CLOSED`. */
  override close(): void {
    for (const share of this.#shares) void share.close()
    this.#shares.clear()
    const isLast = this.#groups.size > 0 && this.#isLast()
    super.close()
    for (const [name, letGo] of this.#groups) letGo(name, isLast)
  }

  /** Of damaged memory nobody knows. */
  #isLast(): boolean {
    try {
      return !this.closed && this.stats().handles === 1
    } catch {
      return false
    }
  }

  static {
    // One whose memory is elsewhere is one, too.
    Object.defineProperty(this, Symbol.hasInstance, {
      value: (given: unknown): boolean =>
        typeof given === 'object' && given !== null && isBus in given,
    })
    Object.defineProperty(this.prototype, isBus, { value: true })
  }

  #join({ filters, policy, replay, depth, queue }: Wanted): number {
    const last = replay === 'last'
    const entry = this.native.subscribe(
      filters,
      policies.indexOf(policy),
      last,
      last ? 0 : replay,
      depth,
      queue,
    )
    if (entry < 0) throw this.fail(entry)
    return entry
  }

  #joinGroup(wanted: Wanted): GroupSubscription {
    const group = require('./group.js') as typeof import('./group.js')
    if (!this.#named) {
      throw invalidArgument(
        'a queue group wants a bus that has a name: its work queue has one, too',
      )
    }
    const { name, maxBytes } = this
    const opening = { name, maxBytes, options: this.#opening }
    const queue = group.openQueue(opening, wanted.queue)
    try {
      const linger = (): void => {
        group.lingerOn(opening, wanted.queue)
      }
      const entry = this.#join(wanted)
      this.#groups.set(queue.name, group.letGoWithBus)
      return new group.GroupSubscription(this.bus, entry, wanted, queue, linger)
    } catch (error) {
      queue.close()
      throw error
    }
  }
}
