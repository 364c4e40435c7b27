// A loan out of a stream of bytes: what reads it is in fill.ts. The pieces are what is left of the loan, each with whatever has come;
// behind the last one there is one more byte, which is nobody's: a source that has that is too long.

import { MillraceError } from '../errors.js'
import type { Filled, FillSource } from './fill.js'
import { checkOptions, checkSignal } from './options.js'
import type { Bytes } from './view-constructor.js'

/** Options of the `fillFrom` of a loan. */
export interface LoanFillOptions {
  /** Ends it with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** @internal A loan, as who fills it sees it. */
export interface FilledLoan {
  /** For messages: "this loan of work queue 'x'". */
  readonly title: string
  /** Throws once it has ended. */
  readonly bytes: Bytes
  /** Calls back when it ends, before its memory is somebody else's; until the function that is returned is called. */
  readonly onEnd: (callback: () => void) => () => void
}

/** @internal Resolves with how many bytes came, when the source has ended. */
export async function fillLoan(
  { title, bytes, onEnd }: FilledLoan,
  source: FillSource,
  options: LoanFillOptions | undefined,
): Promise<number> {
  const signal = checkSignal(checkOptions(options, ['signal']).signal)
  const excess: Bytes = new Uint8Array(1)
  let at = 0
  const rest = (): Bytes => (at < bytes.length ? bytes.subarray(at) : excess)
  const filled: Filled<true> = {
    title,
    get pieceBytes() {
      return rest().length
    },
    whole: false,
    tryRoom: () => true,
    room: () => Promise.resolve(true as const),
    bytesOf: rest,
    write: (_room, part, from) => {
      rest().set(part, from)
    },
    send: (_room, length) => {
      if (at === bytes.length) throw tooLong(title, bytes.length)
      at += length
    },
    discard: () => undefined,
    incomplete: () => new MillraceError('ERR_MILLRACE_INCOMPLETE', `${title} was not filled`),
    onClose: onEnd,
  }
  const { fill } = require('./fill.js') as typeof import('./fill.js')
  return (await fill(filled, source, signal)).bytes
}

function tooLong(title: string, length: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `the source has more bytes than the ${String(length)} of ${title}: ask for a longer one`,
  )
}
