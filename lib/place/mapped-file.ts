// A file as a place: what is in it outlives all processes.

import { invalidArgument } from '../errors.js'
import { native } from '../addon/native.js'

/**
 * A place for a channel or for shared memory in a file: `SharedMemory.create(new MappedFile(path), size)`,
 * `SpscQueue.producer(new MappedFile(path))`. Its content outlives all processes; nothing but `unlink()`
 * removes it.
 *
 * The object is only a path. Nothing is opened or created before it is used.
 */
export class MappedFile {
  /** Absolute. */
  readonly path: string

  /** A relative path is taken from the current directory. */
  constructor(path: string) {
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw invalidArgument('the path of a mapped file must be a string without NUL, and not empty')
    }
    this.path = process.getBuiltinModule('node:path').resolve(path)
  }

  /**
   * Removes the file. Who has it open goes on with it. Returns whether there was one.
   *
   * @throws MillraceError `NOT_OURS` (not a regular file), `PERMISSION`, `SYSTEM`
   */
  unlink(): boolean {
    return native.unlinkFile(this.path)
  }
}
