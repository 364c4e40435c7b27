// The door of the hand-over, which few programs go through: what is behind it is loaded then.

import type { NamelessSegment } from './nameless-segment.js'
import type { OfferOptions, ReceiveOptions, SegmentOffer } from './hand-over.js'

/**
 * Offers segments at a Unix socket: every process that connects, and that `allow` names, gets all of them. The
 * socket has mode 0600, or the `mode` given; one that a dead process left is replaced. The offer goes on
 * if the segments are closed here.
 *
 * @example
 * ```ts
 * using offer = await offerSegments('/run/user/1000/camera', { camera: segment })
 * // in another process
 * const { camera } = await receiveSegments('/run/user/1000/camera')
 * ```
 *
 * @throws MillraceError (as rejection) `EXISTS` (a living process offers there, or something else is there),
 *   `NOT_OURS` (a file that millrace did not make is where the lock belongs, `socketPath` + `.lock`), `PERMISSION`, `ABORTED`, `CLOSED`, `INVALID_ARGUMENT`, `INVALID_NAME`,
 *   `UNSUPPORTED_PLATFORM` (macOS), `SYSTEM`
 */
export async function offerSegments(
  socketPath: string,
  segments: Readonly<Record<string, NamelessSegment>>,
  options?: OfferOptions,
): Promise<SegmentOffer> {
  return await handOver().offerSegments(socketPath, segments, options)
}

/**
 * Receives what another process offers at a Unix socket; waits for it to appear, up to `timeout`. Both sides
 * look at who the other is: what is offered by somebody whom `allow` does not name is not taken.
 *
 * @throws MillraceError (as rejection) `NOT_FOUND` (nobody offers, in time), `TIMEOUT` (no answer), `NOT_OURS`
 *   (who offers is not allowed), `PERMISSION` (we were refused), `CORRUPT` (not a message of an offer),
 *   `LAYOUT`, `ABORTED`, `INVALID_ARGUMENT`, `UNSUPPORTED_PLATFORM` (macOS), `SYSTEM`
 */
export async function receiveSegments(
  socketPath: string,
  options?: ReceiveOptions,
): Promise<Record<string, NamelessSegment>> {
  return await handOver().receiveSegments(socketPath, options)
}

function handOver() {
  return require('./hand-over.js') as typeof import('./hand-over.js')
}
