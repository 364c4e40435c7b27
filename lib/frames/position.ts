// Where a reader was before a restart: the frame that it received last, and of which channel that frame was.

import { checkOptions, show, wholeNumber } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** The frame that a reader received last, and its channel. All of it can be kept as JSON. */
export interface FramePosition {
  /** `channelId` of the reader. */
  readonly channelId: string
  /** `sequence` of the frame; 0: none yet. */
  readonly sequence: number
}

/** @internal `instance` as it is shown. */
export function channelIdOf(instance: bigint): string {
  return instance.toString(16).padStart(16, '0')
}

/** @internal The option `after`, for the addon. */
export function readAfter(given: { readonly after?: number | FramePosition | undefined }): {
  readonly after: number | undefined
  readonly afterInstance: bigint | undefined
} {
  const { after } = given
  if (after === undefined) return { after, afterInstance: undefined }
  if (typeof after !== 'object' || (after as unknown) === null) {
    return { after: sequenceIn(given, 'after'), afterInstance: undefined }
  }
  const { channelId, sequence } = checkOptions(after, ['channelId', 'sequence'])
  if (typeof channelId !== 'string' || !/^[0-9a-f]{16}$/u.test(channelId)) {
    throw invalidArgument(
      `channelId of after must be that of a reader or writer of frames, not ${show(channelId)}`,
    )
  }
  if (sequence === undefined) throw invalidArgument('after has a channelId, but no sequence')
  return { after: sequenceIn(after, 'sequence'), afterInstance: BigInt(`0x${channelId}`) }
}

function sequenceIn(given: object, key: string): number {
  return wholeNumber(given, key, 0, [0, Number.MAX_SAFE_INTEGER])
}
