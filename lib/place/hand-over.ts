// Handing nameless segments to processes that are no children: over a Unix socket, with a look at who is
// at the other end.

import { abortedError, invalidArgument, timeoutError } from '../errors.js'
import { closeIt, onLeaving } from '../addon/leaving.js'
import { native } from '../addon/native.js'
import type { NativeSegmentOffer } from '../addon/nameless.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { isNotFound, openWhenThere } from '../base/opening.js'
import {
  access,
  checkOptions,
  checkSignal,
  duration,
  wholeNumbers,
  type AccessOptions,
  type WaitOptions,
  waitNames,
} from '../base/options.js'
import { fairly } from '../base/fairness.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { NamelessSegment } from './nameless-segment.js'

/**
 * Who may be at the other end: whoever's user id is in `uids`, or whose (primary) group id is in `gids`. With
 * neither list: processes of this user. `pids` narrows that further.
 */
export interface Allow {
  /** User ids. */
  readonly uids?: readonly number[] | undefined
  /** Group ids. */
  readonly gids?: readonly number[] | undefined
  /** Process ids. They are reused: name the users, too. */
  readonly pids?: readonly number[] | undefined
}

/** What the kernel says about the process at the other end. */
export interface PeerCredentials {
  /** User id. */
  readonly uid: number
  /** Primary group id. */
  readonly gid: number
  /** 0 if it lives in another pid namespace. */
  readonly pid: number
}

/** How segments are offered. */
export interface OfferOptions extends Pick<AccessOptions, 'mode'> {
  /** Who is served. Default: processes of this user. */
  readonly allow?: Allow | undefined
  /** Closes the offer. */
  readonly signal?: AbortSignal | undefined
  /** Is told of each peer that was turned away because `allow` does not name it. */
  readonly onRefused?: ((peer: PeerCredentials) => void) | undefined
}

export interface ReceiveOptions extends WaitOptions {
  /** Whose segments are taken. Default: those of processes of this user. */
  readonly allow?: Allow | undefined
  /** Milliseconds to wait for somebody to offer, and for the answer; default 5000. */
  readonly timeout?: number | undefined
}

/** The indices of Served in native/include/millrace/hand_over.hpp. */
const outcomes = ['nobody', 'served', 'refused', 'failed'] as const

/** Serves segments until it is closed. Keeps the process alive, unless `unref()` was called. */
export class SegmentOffer {
  /** Of the socket. */
  readonly path: string
  readonly #native: NativeSegmentOffer
  readonly #counts = { nobody: 0, served: 0, refused: 0, failed: 0 }
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = () => {
    this.close()
  }
  #closed = false
  readonly #unknow: () => void

  /** @internal */
  constructor(
    path: string,
    segments: Readonly<Record<string, NamelessSegment>>,
    options: OfferOptions,
  ) {
    const { onRefused } = options
    if (onRefused !== undefined && typeof onRefused !== 'function') {
      throw invalidArgument('onRefused must be a function')
    }
    this.path = path
    this.#signal = checkSignal(options.signal)
    const entries = Object.entries(segments)
    for (const [name, segment] of entries) {
      if (!((segment as unknown) instanceof NamelessSegment)) {
        throw invalidArgument(`'${name}' must be a NamelessSegment`)
      }
    }
    const wanted = { path, mode: access(options).mode, ...readAllow(options.allow) }
    if (this.#signal?.aborted) throw abortedError(this.#signal)
    // Numbers of descriptors are asked for where they are used.
    const names = entries.map(([name]) => name)
    const fds = entries.map(([, segment]) => segment.fd)
    this.#native = new native.SegmentOffer({ ...wanted, names, fds }, (outcome, uid, gid, pid) => {
      const what = outcomes[outcome] ?? 'failed'
      this.#counts[what]++
      if (what === 'refused') onRefused?.({ uid, gid, pid })
    })
    this.#native.hold(true)
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#unknow = onLeaving(this, closeIt)
  }

  /** Peers that got the segments. */
  get served(): number {
    return this.#counts.served
  }

  /** Peers that were turned away, because `allow` does not name them. */
  get refused(): number {
    return this.#counts.refused
  }

  /** Peers that left before they were served, or that the system had no resources to serve. */
  get failed(): number {
    return this.#counts.failed
  }

  /** Has it been closed, by `close()` or by the `signal`? */
  get closed(): boolean {
    return this.#closed
  }

  /** Keeps the process alive (the default). */
  ref(): this {
    if (!this.#closed) this.#native.hold(true)
    return this
  }

  /** Lets the process end. */
  unref(): this {
    if (!this.#closed) this.#native.hold(false)
    return this
  }

  /** Ends the offer and removes the socket. Who has received segments keeps them. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unknow()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#native.close()
  }

  /** What `using` calls at the end of its block: `close()`. */
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
    return inspection('SegmentOffer', how, () =>
      factsOf(this, ['path', 'served', 'refused', 'failed'], []),
    )
  }
}

export async function offerSegments(
  socketPath: string,
  segments: Readonly<Record<string, NamelessSegment>>,
  options?: OfferOptions,
): Promise<SegmentOffer> {
  const given = checkOptions(options, ['mode', 'allow', 'signal', 'onRefused'])
  if (typeof segments !== 'object' || (segments as unknown) === null) {
    throw invalidArgument('segments must be an object of nameless segments')
  }
  return await fairly(new SegmentOffer(checkPath(socketPath), segments, given))
}

export async function receiveSegments(
  socketPath: string,
  options?: ReceiveOptions,
): Promise<Record<string, NamelessSegment>> {
  const given = checkOptions(options, [...waitNames, 'allow'])
  const signal = checkSignal(given.signal)
  const timeout = duration(given, 'timeout', 5000)
  const end = now() + timeout
  const wanted = { path: checkPath(socketPath), ...readAllow(given.allow) }
  for (;;) {
    try {
      return (await receiveOnce(wanted, timeout, end, signal)).segments
    } catch (error) {
      // Closed before it came to us: the next offer may be there soon.
      if (!isNotFound(error) || now() >= end) throw error
    }
  }
}

/** Segments, and who gave them. */
export interface Received {
  readonly segments: Record<string, NamelessSegment>
  readonly peer: PeerCredentials
}

/** @internal As `receiveSegments`, of whoever offers now; options are judged. */
export function receiveNow(
  path: string,
  { uids, gids, pids }: Allow,
  { timeout, signal }: { timeout: number; signal: AbortSignal },
): Promise<Received> {
  return receiveOnce({ path, uids, gids, pids }, timeout, now() + timeout, signal, now())
}

type Wanted = ConstructorParameters<typeof native.SegmentReceipt>[0]

/** What the next offer hands out. */
async function receiveOnce(
  wanted: Wanted,
  timeout: number,
  end: number,
  signal: AbortSignal | undefined,
  /** How long somebody is waited for who offers. */
  endOfSearch = end,
): Promise<Received> {
  let look = (): void => undefined
  const receipt = await openWhenThere(
    () =>
      new native.SegmentReceipt(wanted, () => {
        look()
      }),
    {
      timeout,
      signal,
      missing: `nobody offered segments at '${wanted.path}'`,
      cure: 'start the process that offers them',
    },
    endOfSearch,
  )
  let timer: Timer | undefined
  let onAbort: (() => void) | undefined
  try {
    return await new Promise<Received>((resolve, reject) => {
      look = () => {
        try {
          const taken = receipt.take()
          // Here, where nobody can come in between: a descriptor belongs to somebody from the start.
          if (taken === undefined) return
          const [uid, gid, pid] = receipt.peer()
          resolve({ segments: record(taken), peer: { uid, gid, pid } })
        } catch (error) {
          reject(error)
        }
      }
      onAbort = () => {
        reject(abortedError(signal!))
      }
      if (signal?.aborted) onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      const onTime = () => {
        reject(
          timeoutError(
            `an answer at '${wanted.path}'`,
            timeout,
            'somebody listens there and did not serve: see what it is and what takes so long, or allow more time',
          ),
        )
      }
      if (end !== Infinity) timer = startTimer(Math.max(end - now(), 1), onTime, { alive: true })
      look() // it may have come before we watched
    })
  } finally {
    stopTimer(timer)
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    receipt.close()
  }
}

/** From name, descriptor, name, descriptor, … */
function record(parts: readonly (string | number)[]): Record<string, NamelessSegment> {
  const segments: [string, NamelessSegment][] = []
  for (let i = 0; i + 1 < parts.length; i += 2) {
    segments.push([String(parts[i]), NamelessSegment.own(Number(parts[i + 1]))])
  }
  return Object.fromEntries(segments)
}

function readAllow(given: Allow | undefined) {
  const allow = checkOptions(given, ['uids', 'gids', 'pids'])
  const ids = (key: keyof Allow) => wholeNumbers(allow, key, [0, 0xffff_ffff])
  return { uids: ids('uids'), gids: ids('gids'), pids: ids('pids') }
}

function checkPath(path: unknown): string {
  if (typeof path === 'string' && path !== '') return path
  throw invalidArgument('the path of a socket must be a string, and not empty')
}
