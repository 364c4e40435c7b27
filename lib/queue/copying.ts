// Messages that are copied out of a ring by the addon.

import type { NativeQueueConsumer } from '../addon/queue.js'
import { checkView } from '../base/bytes.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** The next message in memory of its own, or the outcome that says why there is none. */
export function popCopy(native: NativeQueueConsumer): PlainBuffer | number {
  const length = native.nextLength()
  if (length < 0) return length
  const fresh = Buffer.allocUnsafeSlow(length)
  const copied = native.popInto(fresh, 0)
  return copied < 0 ? copied : fresh
}

/** @throws MillraceError `INVALID_ARGUMENT`: a target whose memory is gone has no room, too */
export function targetTooSmall(length: number, target: Uint8Array): MillraceError {
  checkView(target, 'the target')
  return new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `the next message has ${String(length)} bytes, the target ${String(target.length)}; ` +
      'pass a larger target (maxMessage always fits)',
  )
}
