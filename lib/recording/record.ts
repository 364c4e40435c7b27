// Begins a recording.

import { checkSources, readRecorderOptions, type RecorderOptions } from './record-options.js'
import { Recorder } from './recorder.js'
import type { RecordSource } from './source.js'

/**
 * Records what comes from these sources, until it is stopped: their messages as they are, with their own times, and how many were missed.
 * The file is one of the format MCAP. What is in memory is what one look at the channels has brought; whole records are written, so that
 * whoever is killed leaves a file that can be read to its last whole chunk, of a fifth of a second at most.
 *
 * Sources belong to the recorder then: it closes them in the end.
 *
 * @throws MillraceError (as rejection) `EXISTS` (the file), `NOT_FOUND` (its folder), `PERMISSION`, `NO_SPACE`, `INVALID_ARGUMENT`,
 *   `SYSTEM`
 */
export async function record(
  sources: readonly RecordSource[],
  options: RecorderOptions,
): Promise<Recorder> {
  const settings = readRecorderOptions(options)
  checkSources(sources)
  return await Promise.resolve(new Recorder(sources, settings))
}
