// What all handles that can wait have in common: they have a name, their waits keep the process alive or do not, and they
// close once, on demand or because a peer has broken something.

import { onLeaving } from '../addon/leaving.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { closedError } from '../errors.js'
import { disposeInEveryContext } from './disposal.js'
import { inspected, jsonOf, type Inspecting } from './inspection.js'
import { tellClosed, tellOpened } from './life.js'
import type { Tuning } from './options.js'
import { WaitQueue } from './wait-queue.js'

export abstract class Handle<Native extends NativeWaiter> {
  /** The name it was opened by. */
  readonly name: string
  /** @internal */
  protected readonly native: Native
  /** @internal */
  protected readonly waits: WaitQueue
  /** @internal For messages: "mutex 'x'". */
  protected readonly title: string
  #closed = false
  readonly #unknow: () => void

  /** @internal `watch`: see {@link WaitQueue}. `waiter`: what its waits park, if that is not the handle itself. */
  protected constructor(
    name: string,
    title: string,
    native: Native,
    watch: () => boolean,
    tuning: Tuning,
    waiter: NativeWaiter = native,
  ) {
    this.name = name
    this.title = title
    this.native = native
    this.waits = new WaitQueue(
      waiter,
      watch,
      (reason) => {
        this.leave(reason)
      },
      tuning,
    )
    this.#unknow = onLeaving(this, Handle.#left)
    tellOpened(this)
  }

  // Not a function of the constructor's, whose scope has `this`: it would keep the handle from being collected.
  static readonly #left = (handle: Handle<NativeWaiter>): void => {
    if (handle.#closed) return
    handle.#closed = true
    handle.closeNative()
  }

  /** Has this handle been closed, by `close()` or because of a corrupt peer? */
  get closed(): boolean {
    return this.#closed
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    this.waits.ref()
    return this
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    this.waits.unref()
    return this
  }

  /** Gives the handle back; pending waits reject with `CLOSED`. The last one to close removes the name. */
  close(): void {
    this.leave(() => closedError(this.title))
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes of messages, frames and values. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  abstract [inspected](...how: Inspecting): string

  /** @internal Closes; pending waits reject with `reason`. */
  protected leave(reason: Error | (() => Error)): void {
    if (this.#closed) return
    this.#closed = true
    this.#unknow()
    this.closeNative()
    this.waits.evict(reason)
    tellClosed(this)
  }

  /** @internal Closes what is beneath; called once. */
  protected abstract closeNative(): void

  /** @internal May the memory be touched? For who must not throw, nor close. One system call. */
  protected isWhole(): boolean {
    return this.native.whole?.() ?? true
  }

  /**
   * @internal For properties that look into the memory, which somebody may have shortened: touching what is gone would end
   * this process. Closes then, and throws. One system call.
   */
  protected assertWhole(): void {
    const error = this.native.damage?.()
    if (error === undefined) return
    this.leave(error)
    throw error
  }

  /** @internal */
  protected assertOpen(): void {
    if (this.#closed) throw closedError(this.title)
  }
}
