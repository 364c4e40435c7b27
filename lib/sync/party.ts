// What all primitives that many share have in common: each open handle is a party of its own, it waits in
// the event loop or blocks its thread, and it closes once.

import { block, type BlockingOptions } from '../base/blocking.js'
import { closedError } from '../errors.js'
import type { NativeParty, NativePartyOptions } from '../addon/party.js'
import {
  access,
  checkOptions,
  readTuning,
  type AccessOptions,
  type Tuning,
  type TuningOptions,
} from '../base/options.js'
import { WaitQueue, type Attempt } from '../base/wait-queue.js'
import { checkPlace } from '../place/place.js'

/** Options of opening a primitive that many share. */
export interface PartyOptions extends AccessOptions, TuningOptions {}

/** The common part of all options, read before anything is opened. */
export function readPartyOptions(
  place: unknown,
  given: PartyOptions | undefined,
): { readonly tuning: Tuning; readonly party: NativePartyOptions } {
  const options = checkOptions(given)
  return {
    tuning: readTuning(options),
    party: { place: checkPlace(place), ...access(options) },
  }
}

export abstract class Party<Native extends NativeParty> {
  /** The name it was opened by. */
  readonly name: string
  /** @internal */
  protected readonly native: Native
  /** @internal */
  protected readonly room: WaitQueue
  /** @internal For messages: "mutex 'x'". */
  protected readonly title: string
  #closed = false

  /** @internal */
  protected constructor(kind: string, name: string, native: Native, tuning: Tuning) {
    this.name = name
    this.title = `${kind} '${name}'`
    this.native = native
    this.room = new WaitQueue(
      native,
      () => native.watch(),
      (reason) => {
        this.leave(reason)
      },
      tuning,
    )
  }

  /** Has this handle been closed? */
  get closed(): boolean {
    return this.#closed
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    this.room.ref()
    return this
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    this.room.unref()
    return this
  }

  /** Gives the handle back; pending waits reject with `CLOSED`. The last one to close removes the name. */
  close(): void {
    this.leave(closedError(this.title))
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal Closes; pending waits reject with `reason`. */
  protected leave(reason: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.native.close()
    this.room.evict(reason)
  }

  /** @internal */
  protected assertOpen(): void {
    if (this.#closed) throw closedError(this.title)
  }

  /** @internal The first result of `attempt`, blocking this thread. */
  protected block<T>(
    what: string,
    options: BlockingOptions,
    attempt: Attempt<T>,
    givenUp?: () => void,
  ): T {
    return block(
      this.room,
      what,
      options,
      attempt,
      (spin, timeout) => this.native.wait(spin, timeout),
      givenUp,
    )
  }
}
