// Begins a recording.

import { invalidArgument } from '../errors.js'
import { checkName, checkOptions, show } from '../base/options.js'
import {
  checkSources,
  readRecorderOptions,
  recorderNames,
  type RecorderOptions,
} from './record-options.js'
import { Recorder } from './recorder.js'
import { recordedKinds, type RecordedKind, type RecordSource } from './source.js'
import { watchedSources } from './watched.js'

/** What is recorded of channels that are given by their names, and into which file. */
export interface RecordOptions extends RecorderOptions {
  /** Which, where there are channels of several kinds of a name; default: all. */
  readonly kind?: RecordedKind | undefined
  /** `newest` (default): what comes from now on; `oldest`: first all that is still there. */
  readonly from?: 'newest' | 'oldest' | undefined
}

/**
 * Records channels until it is stopped: their messages as they are, with their own times, and how many went by unseen. A channel is given
 * by its name, and is watched from outside, without any part in it; or by a source, such as `takePart` makes of frames.
 *
 * The file is one of the format MCAP. What is in memory is what one look at the channels has brought; whole records are written, so that
 * whoever is killed leaves a file that can be read to its last whole chunk. Sources are closed in the end.
 *
 * @example
 * ```ts
 * import { record } from 'millrace/recording'
 *
 * const recorder = await record(['thumbnails', 'weather'], { file: 'today.mcap' })
 * process.once('SIGINT', () => void recorder.stop())
 * const { recorded, dropped } = await recorder.finished
 * ```
 *
 * @throws MillraceError (as rejection) `NOT_FOUND` (a channel, or the folder of the file), `EXISTS` (the file), `PERMISSION`, `NO_SPACE`,
 *   `INVALID_NAME`, `INVALID_ARGUMENT`, `NOT_OURS`, `LAYOUT`, `CORRUPT`, `SYSTEM`
 */
export async function record(
  channels: readonly (string | RecordSource)[],
  options: RecordOptions,
): Promise<Recorder> {
  const { kind, from, ...others } = checkOptions(options, [...recorderNames, 'kind', 'from'])
  const settings = readRecorderOptions(others as RecorderOptions)
  if (kind !== undefined && !recordedKinds.includes(kind)) {
    throw invalidArgument(`kind must be one of ${recordedKinds.join(', ')}, not ${show(kind)}`)
  }
  if (from !== undefined && !['newest', 'oldest'].includes(from)) {
    throw invalidArgument(`from must be 'newest' or 'oldest', not ${show(from)}`)
  }
  checkSources(channels)
  const sources: RecordSource[] = []
  try {
    for (const channel of channels) {
      if (typeof channel !== 'string') sources.push(channel)
      else sources.push(...watchedSources(checkName(channel), { kind, from }))
    }
    return await Promise.resolve(new Recorder(sources, settings))
  } catch (error) {
    for (const source of sources) source.close()
    throw error
  }
}
