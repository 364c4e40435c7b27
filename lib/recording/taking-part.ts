// A frame channel that is recorded by a reader of it: frames go from shared memory into the file, and are copied by nobody. The writer
// does not wait for it.

import type { Frame } from '../frames/frame.js'
import type { FrameReader } from '../frames/frame-reader.js'
import { native } from '../addon/native.js'
import { checkOptions, checkSignal, show } from '../base/options.js'
import { selectable } from '../base/selectable.js'
import { invalidArgument } from '../errors.js'
import { dayOffset } from './clock.js'
import type { RecordSource, SourceMessage } from './source.js'

const policies = ['drop-newest', 'overwrite-oldest'] as const

/** How a frame channel is taken part in. */
export interface TakePartOptions {
  /**
   * What becomes of frames that are published faster than they are written: `drop-newest` (default) records the longest pieces without
   * a gap, `overwrite-oldest` what is newest. Each that is missing is counted.
   */
  readonly policy?: (typeof policies)[number] | undefined
  /** Milliseconds to wait for the channel and its writer to appear; default 5000. */
  readonly timeout?: number | undefined
  /** Ends that wait. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A frame channel as a source of `record()` that is a reader of it, as others are: it has a reader's place, and slots while they are
 * written. Frames go from shared memory into the file by one `writev` each, which no watching from outside can do; the writer never waits
 * for it.
 *
 * @example
 * ```ts
 * import { record, takePart } from 'millrace/recording'
 *
 * const recorder = await record([await takePart('camera')], { file: 'camera.mcap' })
 * ```
 *
 * @throws MillraceError (as rejection) `NOT_FOUND` (not in time), `NO_LANE` (all reader places are taken), `ABORTED`, `NOT_OURS`, `LAYOUT`,
 *   `CORRUPT`, `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `INVALID_ARGUMENT`
 */
export async function takePart(name: string, options?: TakePartOptions): Promise<RecordSource> {
  const given = checkOptions(options, ['policy', 'timeout', 'signal'])
  const { policy = 'drop-newest', timeout } = given
  if (!policies.includes(policy)) {
    throw invalidArgument(`policy must be one of ${policies.join(', ')}, not ${show(policy)}`)
  }
  const { FrameReader } =
    require('../frames/frame-reader.js') as typeof import('../frames/frame-reader.js')
  const signal = checkSignal(given.signal)
  // All of it will be read: page by page, while it is written, that takes as long as writing.
  const memory = { prefault: true }
  return new FrameSource(await FrameReader.open(name, { policy, timeout, signal, memory }))
}

class FrameSource implements RecordSource {
  readonly kind = 'frames'
  readonly facts: Readonly<Record<string, string>>
  readonly #offset = dayOffset()
  #missed = 0n
  readonly #reader: FrameReader

  constructor(reader: FrameReader) {
    this.#reader = reader
    this.facts = { slotBytes: String(reader.slotBytes), slots: String(reader.slots) }
  }

  get name(): string {
    return this.#reader.name
  }

  get missed(): bigint {
    return this.#missed
  }

  read(most = 1): readonly SourceMessage[] {
    const frames: SourceMessage[] = []
    const allowed = Math.min(most, this.#reader.maxHeld)
    while (frames.length < allowed) {
      const frame = this.#reader.tryReceive()
      if (frame === undefined) break
      this.#missed += BigInt(frame.missed)
      frames.push(messageOf(frame, this.#offset))
    }
    return frames
  }

  /** Of a channel whose writer has left, or died, nothing is told: it is looked at now and then whether there is another one. */
  whenThere(told: () => void): () => void {
    return this.#reader[selectable]().watch(
      (state) => {
        if (state === 'ready') told()
      },
      () => undefined,
    )
  }

  close(): void {
    this.#reader.close()
  }
}

function messageOf(frame: Frame, offset: bigint): SourceMessage {
  return {
    op: 'frame',
    sequence: BigInt(frame.sequence),
    publishedAt: frame.timestamp + offset,
    seenAt: native.monotonicNs() + offset,
    bytes: frame.bytes,
    length: frame.byteLength,
    header: Buffer.from(frame.header),
    release() {
      frame.release()
    },
  }
}
