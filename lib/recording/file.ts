// The file that a recording goes to. Whatever becomes of a write, whole records are in it.

import { invalidArgument, MillraceError } from '../errors.js'
import type { McapSink } from './mcap/writer.js'

const fs = (): typeof import('node:fs') => process.getBuiltinModule('node:fs')

/** What says that there is no room: on the disk, in the quota, below the limit of this process. */
const full = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

export class RecordFile implements McapSink {
  readonly path: string
  readonly #descriptor: number
  /** Has it a name that it could lose? Devices have none of their own, and some file systems do not tell. */
  readonly #isNamed: boolean
  #whole = 0
  #closed = false

  private constructor(path: string, descriptor: number) {
    this.path = path
    this.#descriptor = descriptor
    const status = fs().fstatSync(descriptor)
    this.#isNamed = status.isFile() && status.nlink > 0
  }

  /**
   * A new file. With `overwrite` it takes the place of one that is there: who reads or writes that goes on with it, and nobody finds two
   * recordings in one file.
   *
   * @throws MillraceError `EXISTS`, `PERMISSION`, `NOT_FOUND` (the folder), `NO_SPACE`, `SYSTEM`
   */
  static create(path: string, { overwrite }: { readonly overwrite: boolean }): RecordFile {
    try {
      return new RecordFile(path, overwrite ? openInPlace(path) : openNew(path))
    } catch (cause) {
      throw fileError('create', path, cause)
    }
  }

  /** What is in it for good. */
  get bytes(): number {
    return this.#whole
  }

  /**
   * @throws MillraceError (as rejection) `NO_SPACE`, `SYSTEM`: nothing of it is in the file then; `NOT_FOUND`: nobody would find it
   */
  async write(buffers: readonly Uint8Array[]): Promise<void> {
    let left = buffers
    let at = this.#whole
    try {
      this.#assertFound()
      while (left.length > 0) {
        const written = await this.#writev(left, at)
        at += written
        left = behind(left, written)
      }
    } catch (cause) {
      this.#cut()
      throw fileError('write', this.path, cause)
    }
    this.#whole = at
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    fs().closeSync(this.#descriptor)
  }

  /** A day of recording for nothing is worse than an error. */
  #assertFound(): void {
    if (!this.#isNamed || fs().fstatSync(this.#descriptor).nlink > 0) return
    throw new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `'${this.path}' was removed, or replaced by another recording, while this one wrote to it; what was in it is gone: record under a name of its own`,
      { path: this.path },
    )
  }

  #writev(buffers: readonly Uint8Array[], at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs().writev(this.#descriptor, buffers, at, (error, written) => {
        if (error) reject(error)
        else resolve(written)
      })
    })
  }

  /** What was torn goes; if not even that can be done, readers find the end of what is whole. */
  #cut(): void {
    try {
      fs().ftruncateSync(this.#descriptor, this.#whole)
    } catch {
      // The failure that led here is the one to tell.
    }
  }
}

const openNew = (path: string): number => fs().openSync(path, 'wx', 0o600)

/** What is no file, a device or a pipe, is written to as it is; so is a file in a folder that nobody may change. */
function openInPlace(path: string): number {
  const { openSync, realpathSync, statSync, unlinkSync } = fs()
  for (let tries = 0; tries < 10; tries++) {
    try {
      return openNew(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    try {
      if (!statSync(path).isFile()) break
      const file = realpathSync(path)
      unlinkSync(file)
      // Where a link led there is a new file now.
      return openNew(file)
    } catch {
      // Another one was quicker, or it may not be removed.
    }
  }
  return openSync(path, 'w', 0o600)
}

/** What is left of the buffers behind so many bytes. */
function behind(buffers: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = bytes
  let first = 0
  while (first < buffers.length && skipped >= buffers[first]!.byteLength) {
    skipped -= buffers[first]!.byteLength
    first++
  }
  if (skipped === 0) return buffers.slice(first)
  return [buffers[first]!.subarray(skipped), ...buffers.slice(first + 1)]
}

/** What the system said of a file, as an error of this package. */
export function fileError(
  what: 'create' | 'write' | 'read',
  path: string,
  cause: unknown,
): unknown {
  if (!isSystemError(cause)) return cause
  const { code = '', syscall, errno } = cause
  const facts = { syscall, errno: errno === undefined ? undefined : -errno, path, cause }
  const failed = (name: MillraceError['code'], why: string): MillraceError =>
    new MillraceError(name, `'${path}' ${why}`, facts)
  if (full.has(code))
    return failed(
      'ERR_MILLRACE_NO_SPACE',
      `has no room for more (${code}); what was recorded before is in it: free space, or record with a --max-size to elsewhere`,
    )
  if (code === 'EEXIST')
    return failed(
      'ERR_MILLRACE_EXISTS',
      'is there already: remove it, name another, or say that it may be overwritten',
    )
  if (code === 'ENOENT')
    return failed(
      'ERR_MILLRACE_NOT_FOUND',
      what === 'create' ? 'is in a folder that is not there: make it first' : 'is not there',
    )
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return failed(
      'ERR_MILLRACE_PERMISSION',
      `cannot be ${what === 'read' ? 'read' : 'written'} by this user (${code})`,
    )
  return failed(
    'ERR_MILLRACE_SYSTEM',
    `cannot be ${what === 'create' ? 'created' : what === 'read' ? 'read' : 'written'}: ${cause.message}`,
  )
}

function isSystemError(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && 'syscall' in cause
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkPath(path: unknown): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path
  throw invalidArgument('the file must be named by a path: a string that is not empty')
}
