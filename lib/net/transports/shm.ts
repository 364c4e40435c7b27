// shm://name: two rings in memory without a name. The listener makes them for each who connects, after the kernel has said who that
// is, and hands them over at a socket beside the segments. Its lock tells a socket that a dead listener left from one of a living one.
//
//   listener                                         who connects
//   a socket /dev/shm/millrace.l.NAME~               connect; who listens (SO_PEERCRED)? not allowed ─► error
//   who is it (SO_PEERCRED)? not allowed ─► refused
//   two fresh queues, its sides taken, its hello in
//   descriptors  ───────────────────────────────►    its sides taken, its hello in; the listener's is there
//   its hello: a channel

import { native } from '../../addon/native.js'
import type { NativeSegmentOffer } from '../../addon/nameless.js'
import { pause } from '../../base/opening.js'
import { checkName } from '../../base/options.js'
import { now } from '../../base/time.js'
import { closeIt, onLeaving } from '../../addon/leaving.js'
import { hasCode, invalidArgument, MillraceError } from '../../errors.js'
import type { Address } from '../../place/address.js'
import type { Received } from '../../place/hand-over.js'
import { NamelessSegment } from '../../place/nameless-segment.js'
import type { QueueConsumer } from '../../queue/consumer.js'
import type { QueueProducer } from '../../queue/producer.js'
import type { Peer } from '../channel.js'
import { longestMessage, protocolError } from '../framing.js'
import { nobody } from '../nobody.js'
import type { GivenConnection, GivenListen, PeerAllow } from '../options.js'
import { MemoryChannel } from '../shm/channel.js'
import { isMark, Mark, markOf, readMark } from '../shm/marks.js'
import type { Arrivals, Listening, Transport } from '../transport.js'
import { leftOf } from '../waits.js'

const directory = '/dev/shm/'
/** Bytes that the system takes for the path of a socket, without the rest of it. */
const mostName = 107 - `${directory}millrace.l.~`.length
/** The index of `served` in native/include/millrace/hand_over.hpp. */
const served = 1
const segmentNames = ['toListener', 'fromListener'] as const
/** How long who connects naps where too many wait already. */
const napMs = 5

export const shm: Transport = {
  scheme: 'shm',
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },

  check(address) {
    socketOf(address)
  },

  async connect(address, given, signal) {
    const end = given.timeout === Infinity ? Infinity : now() + given.timeout
    const { segments, peer } = await receive(address, given.allow, end, signal)
    const ends = openEnds(
      segments['toListener'],
      segments['fromListener'],
      Object.values(segments),
      undefined,
    )
    try {
      ends.producer.tryPush(markOf(Mark.hello, given.maxBytes))
      const channel = await greeted(ends, address.text, peerOf(peer.uid, peer.gid, peer.pid), {
        given,
        signal,
        timeout: Math.min(leftOf(end), given.helloMs),
      })
      return { channel, gone: channel.gone, peer: channel.peer }
    } catch (error) {
      closeEnds(ends)
      throw error
    }
  },

  listen(address, given, arrivals) {
    return Promise.resolve(new Door(address, given, arrivals))
  },
}

/** @throws MillraceError `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG` */
function socketOf({ text, rest, query }: Address): string {
  if (query.size > 0)
    throw invalidArgument(`the address '${text}' can have nothing behind its name`)
  const name = checkName(rest)
  if (!/^[\w-][\w.-]*$/.test(name)) {
    throw new MillraceError(
      'ERR_MILLRACE_INVALID_NAME',
      `the name of '${text}' must be of A-Z a-z 0-9 . _ - and not begin with a dot`,
    )
  }
  if (name.length > mostName) {
    throw new MillraceError(
      'ERR_MILLRACE_NAME_TOO_LONG',
      `the name of '${text}' has ${String(name.length)} characters; one that is listened at has ${String(mostName)} at most`,
    )
  }
  return `${directory}millrace.l.${name}~`
}

const handOver = () =>
  require('../../place/hand-over.js') as typeof import('../../place/hand-over.js')

const queues = () =>
  (require('../../queue/spsc-queue.js') as typeof import('../../queue/spsc-queue.js')).SpscQueue

interface Ends {
  readonly producer: QueueProducer
  readonly consumer: QueueConsumer
}

/** Takes this process's sides; the segments are not needed any more. `capacity`: who made them says it. */
function openEnds(
  sends: NamelessSegment | undefined,
  receives: NamelessSegment | undefined,
  all: readonly NamelessSegment[],
  capacity: number | undefined,
): Ends {
  try {
    if (sends === undefined || receives === undefined || all.length !== segmentNames.length) {
      throw protocolError('does not offer a connection: see what listens there')
    }
    const producer = queues().producer(sends, { capacity })
    try {
      return { producer, consumer: queues().consumer(receives, { capacity }) }
    } catch (error) {
      producer.close()
      throw error
    }
  } finally {
    for (const segment of all) segment.close()
  }
}

function closeEnds({ producer, consumer }: Ends): void {
  producer.close()
  consumer.close({ discard: true })
}

/** Both have said who they are. */
async function greeted(
  { producer, consumer }: Ends,
  address: string,
  peer: Peer,
  limits: { given: GivenConnection; signal: AbortSignal | undefined; timeout: number },
): Promise<MemoryChannel> {
  const hello = await consumer.pop({ signal: limits.signal, timeout: limits.timeout })
  if (hello === undefined) throw protocolError('left before it had said who it is')
  if (!isMark(hello) || readMark(hello).kind !== Mark.hello) {
    throw protocolError('does not speak as millrace does: see what listens, or connects, there')
  }
  const peerMaxBytes = readMark(hello).value
  if (peerMaxBytes > longestMessage) {
    throw protocolError('has said that it takes longer messages than there are')
  }
  const ownMaxBytes = limits.given.maxBytes
  return new MemoryChannel(producer, consumer, { address, peer, ownMaxBytes, peerMaxBytes })
}

function peerOf(uid: number, gid: number, pid: number): Peer {
  return pid === 0 ? { uid, gid } : { uid, gid, pid }
}

/** Segments of whoever listens; where its line is full, when it is not. */
async function receive(
  address: Address,
  allow: PeerAllow | undefined,
  end: number,
  signal: AbortSignal,
): Promise<Received> {
  const path = socketOf(address)
  let wasWithdrawn = false
  for (;;) {
    try {
      return await handOver().receiveNow(path, allow ?? {}, { timeout: leftOf(end), signal })
    } catch (error) {
      if (hasCode(error, 'ERR_MILLRACE_NOT_OURS')) {
        throw new MillraceError('ERR_MILLRACE_PERMISSION', (error as Error).message, {
          cause: error,
          path: address.text,
        })
      }
      if (!hasCode(error, 'ERR_MILLRACE_NOT_FOUND')) throw error
      if (isNobody(error as MillraceError) || now() >= end) throw nobody(address.text, error)
      const isWithdrawn = (error as MillraceError).cause === undefined
      // Whoever closed just then is not there the next time.
      if (isWithdrawn && wasWithdrawn) throw turnedAwayError(address.text, error)
      wasWithdrawn = isWithdrawn
    }
    await pause(napMs, signal)
  }
}

function turnedAwayError(address: string, cause: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `whoever listens at '${address}' has turned this connection away: it has as many as it takes (maxConnections), or no descriptors ` +
      'or memory for one more; connect again when others have left',
    { cause, path: address },
  )
}

const { ENOENT, ECONNREFUSED } = process.getBuiltinModule('node:os').constants.errno

/** Is there nobody, and not only no room in line, or somebody who has just closed? */
function isNobody({ cause }: MillraceError): boolean {
  const { errno } = (cause ?? {}) as NodeJS.ErrnoException
  return errno === ENOENT || errno === ECONNREFUSED
}

class Door implements Listening {
  readonly address: string
  readonly #given: GivenListen
  readonly #arrivals: Arrivals
  readonly #native: NativeSegmentOffer
  readonly #capacity: number
  /** Those who have not said who they are, though they have their descriptors. */
  readonly #pending = new Set<Ends>()
  readonly #unknow: () => void
  #closed = false

  constructor(address: Address, given: GivenListen, arrivals: Arrivals) {
    this.address = address.text
    this.#given = given
    this.#arrivals = arrivals
    this.#capacity = 2 ** Math.ceil(Math.log2(Math.max(given.highWaterMark, 4096)))
    const { uids, gids, pids } = given.allow ?? {}
    const options = {
      path: socketOf(address),
      mode: given.mode,
      uids,
      gids,
      pids,
      each: true,
    } as const
    try {
      this.#native = new native.SegmentOffer(options, (outcome, uid, gid, pid) => {
        if (outcome === served) this.#serve(peerOf(uid, gid, pid))
        else arrivals.turnedAway()
      })
    } catch (error) {
      throw hasCode(error, 'ERR_MILLRACE_EXISTS')
        ? new MillraceError(
            'ERR_MILLRACE_EXISTS',
            `somebody listens at '${address.text}' already: end that, or take another name`,
            { cause: error, path: options.path },
          )
        : error
    }
    this.#native.hold(true)
    this.#unknow = onLeaving(this, closeIt)
  }

  hold(alive: boolean): void {
    if (!this.#closed) this.#native.hold(alive)
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    this.#unknow()
    this.#native.close()
    for (const ends of this.#pending) closeEnds(ends)
    return Promise.resolve()
  }

  #serve(peer: Peer): void {
    if (!this.#arrivals.hasRoom()) {
      this.#arrivals.turnedAway()
      return
    }
    let ends: Ends | undefined
    try {
      ends = this.#handOver()
    } catch {
      // No descriptors, or no memory: those who come later may find some.
    }
    if (ends === undefined) {
      this.#arrivals.turnedAway('resources')
      return
    }
    void this.#greet(ends, peer)
  }

  #handOver(): Ends | undefined {
    const segments: NamelessSegment[] = []
    let ends: Ends | undefined
    try {
      for (const _ of segmentNames) segments.push(NamelessSegment.create())
      const [toListener, fromListener] = segments
      const producer = queues().producer(fromListener!, { capacity: this.#capacity })
      try {
        ends = {
          producer,
          consumer: queues().consumer(toListener!, { capacity: this.#capacity }),
        }
      } catch (error) {
        producer.close()
        throw error
      }
      producer.tryPush(markOf(Mark.hello, this.#given.maxBytes))
      const fds = segments.map(({ fd }) => fd)
      if (this.#native.give({ names: segmentNames, fds })) return ends
    } finally {
      for (const segment of segments) segment.close()
    }
    closeEnds(ends)
    return undefined
  }

  async #greet(ends: Ends, peer: Peer): Promise<void> {
    this.#pending.add(ends)
    this.#judgeLine()
    try {
      const { helloMs } = this.#given
      const limits = { given: this.#given, signal: undefined, timeout: helloMs }
      const channel = await greeted(ends, this.address, peer, limits)
      if (this.#closed) channel.destroy()
      else this.#arrivals.arrived({ peer, channel, gone: channel.gone })
    } catch {
      closeEnds(ends)
      if (!this.#closed) this.#arrivals.turnedAway('hello')
    } finally {
      this.#pending.delete(ends)
      this.#judgeLine()
    }
  }

  /** With as many as may be pending, the others wait in line. */
  #judgeLine(): void {
    if (!this.#closed) this.#native.pause(this.#pending.size >= this.#given.maxPending)
  }
}
