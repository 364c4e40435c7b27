// An object of this machine's memory that a route has open: its name may be taken away, and be that of another one by then. Whoever comes
// later is at that other one, and the route would go on alone with what nobody sees.

import { startTimer, stopTimer, type Timer } from '../base/time.js'
import { MillraceError } from '../errors.js'

/** Milliseconds between two looks. */
const lookMs = 500

export class NamedObject {
  readonly #title: string
  readonly #path: string
  readonly #inode: bigint | undefined

  private constructor(title: string, path: string) {
    this.#title = title
    this.#path = path
    this.#inode = inodeAt(path)
  }

  /** Undefined: it is elsewhere. */
  static of(handle: object, title: string): NamedObject | undefined {
    const { native } = handle as { readonly native?: { readonly path: string } }
    return native === undefined ? undefined : new NamedObject(title, native.path)
  }

  /** Where the system has no files for objects, that is never known. */
  get isRemoved(): boolean {
    if (this.#inode === undefined || this.#inode === 0n) return false
    const inode = inodeAt(this.#path)
    return inode !== undefined && inode !== this.#inode
  }

  get removal(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `${this.#title} was removed while the route had it open (unlink, rm), with all that was in it: the route is opened anew`,
    )
  }
}

/**
 * Runs until `stop`, or until one of the names leads somewhere else; `act` ends with its signal, and does not fail then.
 *
 * @throws MillraceError (as rejection) `NOT_FOUND` (somewhere else), and what `act` throws
 */
export async function whileNamed(
  objects: readonly (NamedObject | undefined)[],
  stop: AbortSignal,
  act: (end: AbortSignal) => Promise<void>,
): Promise<void> {
  const removed = new AbortController()
  let timer: Timer | undefined
  const look = (): void => {
    timer = startTimer(lookMs, () => {
      const gone = objects.find((one) => one?.isRemoved)
      if (gone === undefined) look()
      else removed.abort(gone.removal)
    })
  }
  look()
  try {
    await act(AbortSignal.any([stop, removed.signal]))
  } finally {
    stopTimer(timer)
  }
  if (removed.signal.aborted && !stop.aborted) throw removed.signal.reason
}

/** 0: nothing is there. Undefined: that cannot be known, as where nobody may look. */
function inodeAt(path: string): bigint | undefined {
  const { statSync } = process.getBuiltinModule('node:fs')
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? 0n
  } catch {
    return undefined
  }
}
