// A piece of memory that several processes map: nothing but bytes, byte 0 is the user's byte 0.

import { disposeInEveryContext } from '../base/disposal.js'
import { checkView } from '../base/bytes.js'
import { closedError, hasCode, invalidArgument, MillraceError } from '../errors.js'
import type { ViewConstructor } from '../base/view-constructor.js'
import { closeIt, onLeaving } from '../addon/leaving.js'
import { native } from '../addon/native.js'
import type { NativeMemory } from '../addon/shared-memory.js'
import {
  access,
  checkName,
  checkOptions,
  fingerprint,
  flag,
  readMemory,
  wholeNumber,
  type AccessOptions,
  type SchemaOptions,
  accessNames,
  schemaNames,
} from '../base/options.js'
import type { MemoryOptions } from '../addon/memory-options.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { tellClosed, tellOpened } from '../base/life.js'
import { MappedFile } from '../place/mapped-file.js'
import { NamelessSegment } from '../place/nameless-segment.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'

export interface CreateMemoryOptions extends Pick<AccessOptions, 'mode'>, SchemaOptions {
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
}

export interface OpenMemoryOptions extends AccessOptions, SchemaOptions {
  /** The same; with `readOnly`, `lock` and `prefault` only. */
  readonly memory?: MemoryOptions | undefined
  /**
   * Opens without the right to change the object. The memory can be read as it changes; writing to it
   * neither crashes nor reaches anybody else: it changes a private copy of that page, which from then on
   * no longer follows the shared one. Default false.
   */
  readonly readOnly?: boolean | undefined
}

const openOrCreateNames = [...accessNames, ...schemaNames, 'memory'] as const
/** Of opening what somebody else is creating or leaving at the same time. */
const mostRounds = 100

/**
 * Shared memory under a POSIX name (`shm_open`), exactly as a C or Python program would open it:
 * `SharedMemory.create('grid', n)` is `/grid` there.
 *
 * The creator owns it: its `close()`, or the end of its process, removes the name; others keep what they
 * have mapped. If the owner is killed, the memory stays as long as others have it open. What no living process has open
 * does not exist any more: the next `open`, `create` or `sweep` removes it.
 *
 * Instead of a name, a `NamelessSegment` or a `MappedFile` can be given: the first lives as long as somebody
 * holds it, the second outlives all processes.
 *
 * @example
 * ```ts
 * using grid = SharedMemory.create('grid', 1024 * 1024)
 * grid.view(Float32Array).fill(0)
 * // elsewhere
 * using same = SharedMemory.open('grid', { readOnly: true })
 * ```
 */
export class SharedMemory {
  /** The name without a leading slash; the path of a file; of a nameless segment, its title. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Did this object create it, and will it remove it? */
  readonly owner: boolean
  /** Was it opened with `readOnly`? */
  readonly readOnly: boolean
  readonly #place: Place
  readonly #native: NativeMemory
  #buffer: ArrayBuffer | undefined
  #closed = false
  readonly #unknow: () => void

  private constructor(place: Place, handle: NativeMemory, owner: boolean, readOnly: boolean) {
    this.#place = place
    this.name = nameOf(place)
    this.size = handle.size
    this.owner = owner
    this.readOnly = readOnly
    this.#native = handle
    this.#unknow = onLeaving(this, closeIt)
    tellOpened(this)
  }

  /**
   * Creates `size` bytes of zeroes, with mode 0600 whatever the umask, or the `mode` given. All of it is
   * reserved at once: a full /dev/shm is an error here and not a crash later.
   *
   * @throws MillraceError `EXISTS` (also for objects of other programs), `NO_SPACE`, `INVALID_NAME`,
   *   `NAME_TOO_LONG`, `INVALID_ARGUMENT`, `PERMISSION`, `TIMEOUT`
   */
  static create(place: Place, size: number, options?: CreateMemoryOptions): SharedMemory {
    const given = checkOptions(options, ['mode', 'schema', 'memory'])
    const { mode } = access(given)
    const bytes = wholeNumber({ size }, 'size', 0, [1, Number.MAX_SAFE_INTEGER])
    const handle = new native.SharedMemory({
      place: checkPlace(place),
      memory: readMemory(given),
      size: bytes,
      mode,
      owner: undefined,
      schema: fingerprint(given),
      create: true,
      readOnly: false,
    })
    return new SharedMemory(place, handle, true, false)
  }

  /**
   * Opens what exists, whoever made it and in whatever language. What millrace made and no living process has open does
   * not exist any more.
   *
   * @throws MillraceError `NOT_FOUND`, `NOT_OURS` (another owner, or wider rights than `mode`),
   *   `SCHEMA` (memory of other programs has none, and is not compared), `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`
   */
  static open(place: Place, options?: OpenMemoryOptions): SharedMemory {
    const given = checkOptions(options, [...accessNames, ...schemaNames, 'memory', 'readOnly'])
    const readOnly = flag(given, 'readOnly')
    const handle = new native.SharedMemory({
      place: checkPlace(place),
      memory: readMemory(given),
      size: 0,
      ...access(given),
      schema: fingerprint(given),
      create: false,
      readOnly,
    })
    return new SharedMemory(place, handle, false, readOnly)
  }

  /**
   * Opens what exists, or creates `size` bytes of zeroes; `owner` tells which. Of several processes that do so at once,
   * exactly one creates it. For processes that may start in any order, also after one of them was killed.
   *
   * @throws MillraceError `GEOMETRY` (it exists with another size), otherwise as `open` and `create`, but for `EXISTS`, and
   *   `NOT_FOUND` only if another user is the `owner`
   */
  static openOrCreate(
    place: Place,
    size: number,
    options?: Omit<OpenMemoryOptions, 'readOnly'>,
  ): SharedMemory {
    const { owner, ...creating } = checkOptions(options, openOrCreateNames)
    const bytes = wholeNumber({ size }, 'size', 0, [1, Number.MAX_SAFE_INTEGER])
    const opening = owner === undefined ? creating : { ...creating, owner }
    for (let round = 1; ; round++) {
      try {
        return SharedMemory.open(place, opening).#withSize(bytes)
      } catch (error) {
        // What we create is ours, and would be in the way of the one that is waited for.
        const ours = owner === undefined || owner === process.geteuid?.()
        if (!ours || !hasCode(error, 'ERR_MILLRACE_NOT_FOUND')) throw error
      }
      try {
        return SharedMemory.create(place, bytes, creating)
      } catch (error) {
        // Somebody else was quicker; or is just leaving what was there, which takes microseconds.
        if (round === mostRounds || !hasCode(error, 'ERR_MILLRACE_EXISTS')) throw error
      }
    }
  }

  /** Removes the name, whoever uses the memory. Returns whether there was one. */
  static unlink(name: string): boolean {
    return native.unlinkMemory(checkName(name))
  }

  /** Has `close()` been called? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * All of it as one ArrayBuffer, always the same. `close()` detaches it: views become empty. A call that
   * goes on in the background (`fs.write`, `zlib`, `crypto`) with a view of it must have ended before.
   *
   * @throws MillraceError `CLOSED`, `UNSUPPORTED_RUNTIME` (Electron: use `read` and `write`)
   */
  get buffer(): ArrayBuffer {
    this.#assertOpen()
    this.#buffer ??= this.#native.buffer()
    return this.#buffer
  }

  /**
   * A typed array (or DataView) over `length` elements from `byteOffset` on; by default over all of it.
   *
   * @throws MillraceError `CLOSED`, `UNSUPPORTED_RUNTIME`; RangeError for a misaligned or outside offset
   */
  view<T>(constructor: ViewConstructor<T>, byteOffset = 0, length?: number): T {
    const unit = (constructor as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
    const elements = length ?? Math.floor((this.size - byteOffset) / unit)
    return new constructor(this.buffer, byteOffset, elements)
  }

  /**
   * Copies from the memory at `byteOffset` into `target`, as many bytes as it has; returns `target`.
   * Works in every runtime.
   *
   * @throws MillraceError `CLOSED`, `INVALID_ARGUMENT` (outside the memory)
   */
  read<T extends ArrayBufferView>(target: T, byteOffset = 0): T {
    checkView(target, 'the target')
    this.#check(this.#native.read(byteOffset, target), byteOffset, target)
    return target
  }

  /** Copies all of `source` into the memory at `byteOffset`. Otherwise as `read`. */
  write(source: ArrayBufferView, byteOffset = 0): void {
    checkView(source, 'the source')
    this.#check(this.#native.write(byteOffset, source), byteOffset, source)
  }

  /**
   * Resolves when all that was written to a mapped file before the call is on its disk (`msync`); a thread
   * of Node's pool waits for that. Memory that is no file has no disk: nothing is done.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `CORRUPT` (the file was truncated), `SYSTEM`
   */
  async flush(): Promise<void> {
    this.#assertOpen()
    await this.#native.flush()
  }

  /** The same, blocking this thread as long as the disk needs. */
  flushSync(): void {
    this.#assertOpen()
    this.#native.flushNow()
  }

  /** Detaches the buffer and lets go of the memory; the owner also removes the name. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unknow()
    this.#buffer = undefined
    this.#native.close()
    tellClosed(this)
  }

  /**
   * Removes the name, or the file, now; the memory stays usable until `close()`. Returns whether there was
   * one. What is nameless has none.
   */
  unlink(): boolean {
    if (this.#place instanceof NamelessSegment) return false
    return this.#place instanceof MappedFile
      ? this.#place.unlink()
      : SharedMemory.unlink(this.#place)
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
    return inspection('SharedMemory', how, () =>
      factsOf(this, ['name', 'size', 'owner', 'readOnly'], []),
    )
  }

  /** Closes it and throws if it is another memory than was expected. */
  #withSize(bytes: number): this {
    if (this.size === bytes) return this
    this.close()
    throw new MillraceError(
      'ERR_MILLRACE_GEOMETRY',
      `shared memory '${this.name}' has ${String(this.size)} bytes, not ${String(bytes)}; give the same size ` +
        'everywhere, or unlink it first',
    )
  }

  #assertOpen(): void {
    if (this.closed) throw closedError(`shared memory '${this.name}'`)
  }

  #check(outcome: number, byteOffset: number, bytes: unknown): void {
    if (outcome >= 0) return
    this.#assertOpen()
    const length = ArrayBuffer.isView(bytes) ? bytes.byteLength : 'no'
    throw invalidArgument(
      `${String(length)} bytes at offset ${String(byteOffset)} are not within the ` +
        `${String(this.size)} bytes of shared memory '${this.name}'`,
    )
  }
}
