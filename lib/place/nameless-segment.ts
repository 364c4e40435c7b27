// Memory without a name: whoever holds a descriptor has it, nobody else can find it.

import { closedError, invalidArgument } from '../errors.js'
import { hasLeft, native } from '../addon/native.js'
import type { NativeNamelessSegment } from '../addon/nameless.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { access, checkOptions, flag, wholeNumber, type AccessOptions } from '../base/options.js'

/** How a nameless segment is made. */
export interface NamelessOptions extends Pick<AccessOptions, 'mode'> {
  /**
   * Takes the memory from the huge pages that the administrator reserved (`/proc/sys/vm/nr_hugepages`).
   * For `SharedMemory` only, whose size must then be a multiple of their size. Default false.
   */
  readonly hugePages?: boolean | undefined
}

/**
 * A place for a channel or for shared memory that has no name: it is passed to a child process as a
 * descriptor, or to any process with `offerSegments` and `receiveSegments`. Linux only.
 *
 * What uses it (`SpscQueue.producer(segment)`, `SharedMemory.create(segment, size)`, …) holds descriptors
 * of its own: the segment can be closed afterwards. The memory goes with the last descriptor.
 *
 * @example
 * ```ts
 * using segment = NamelessSegment.create()
 * const child = fork('child.js', { stdio: ['inherit', 'inherit', 'inherit', 'ipc', segment.fd] })
 * const producer = SpscQueue.producer(segment)
 * ```
 *
 * ```ts
 * // child.js
 * using segment = NamelessSegment.fromFd(4)
 * const consumer = SpscQueue.consumer(segment)
 * ```
 */
export class NamelessSegment {
  /** For messages: `nameless:` and a number that is the same for all descriptors of this memory. */
  readonly name: string
  readonly #native: NativeNamelessSegment
  #closed = false

  private constructor(handle: NativeNamelessSegment) {
    this.#native = handle
    this.name = handle.title
  }

  /**
   * New and empty; the first that uses it gives it its size, which is final.
   *
   * @throws MillraceError `UNSUPPORTED_PLATFORM` (macOS), `NO_SPACE` (no huge pages, or no descriptors),
   *   `INVALID_ARGUMENT`
   */
  static create(options?: NamelessOptions): NamelessSegment {
    const given = checkOptions(options, ['mode', 'hugePages'])
    const { mode } = access(given)
    return new NamelessSegment(
      new native.NamelessSegment({ mode, hugePages: flag(given, 'hugePages') }),
    )
  }

  /**
   * What a descriptor leads to that this process inherited. The descriptor stays open and the caller's; it
   * is not needed any more.
   *
   * @throws MillraceError `NOT_OURS` (it is no nameless segment), `UNSUPPORTED_PLATFORM` (macOS, or no
   *   /proc), `PERMISSION`, `INVALID_ARGUMENT`
   */
  static fromFd(fd: number): NamelessSegment {
    const given = wholeNumber({ fd }, 'fd', -1, [0, 0x7fff_ffff])
    if (given < 0) throw invalidArgument('fd must be the number of an open descriptor')
    return new NamelessSegment(new native.NamelessSegment({ given }))
  }

  /** @internal Takes a descriptor over that nobody else knows. */
  static own(fd: number): NamelessSegment {
    return new NamelessSegment(new native.NamelessSegment({ own: fd }))
  }

  /**
   * The descriptor, to be passed to a child process in `stdio`. It is not inherited otherwise.
   *
   * @throws MillraceError `CLOSED`
   */
  get fd(): number {
    if (this.closed) throw closedError(`the segment '${this.name}'`)
    return this.#native.fd
  }

  /** Has `close()` been called? What uses the segment does not mind. */
  get closed(): boolean {
    return this.#closed || hasLeft()
  }

  /** Closes the descriptor. Channels that use the segment go on. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
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
    return inspection('NamelessSegment', how, () => factsOf(this, ['name'], ['fd']))
  }
}
