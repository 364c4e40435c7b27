// What a recording is made with.

import { invalidArgument } from '../errors.js'
import { checkOptions, checkSignal, duration, flag, show, wholeNumber } from '../base/options.js'
import type { PayloadFacts } from './channels.js'
import { checkPath } from './file.js'
import { mostSources, type SplitOptions } from './output.js'

/** Options of every recording. */
export interface RecorderOptions {
  /** The file. With `maxBytes`, `maxTime` or `last` there are several, numbered: `a.mcap` is `a-0001.mcap`, `a-0002.mcap` and so on. */
  readonly file: string
  /** May a file that is there already be written anew? Default false: `ERR_MILLRACE_EXISTS`. */
  readonly overwrite?: boolean | undefined
  /** Bytes that a file has at most, from 65 536; a message that is larger has a file that is larger. Default: no limit. */
  readonly maxBytes?: number | undefined
  /** Milliseconds that a file has at most, by the times of what is in it. Default: no limit. */
  readonly maxTime?: number | undefined
  /**
   * Write nothing, but keep the last so many milliseconds in memory, until `trigger()` writes them to a file of their own. Default: write
   * everything.
   */
  readonly last?: number | undefined
  /** Bytes that `last` takes at most; what is older goes before its time then. Default 268 435 456. */
  readonly lastBytes?: number | undefined
  /** Milliseconds between two looks at channels that had nothing new. Default 5. Sources of `takePart` say themselves when a frame comes. */
  readonly interval?: number | undefined
  /** Of channels, by their names: what their payloads look like. Other tools show them by that. */
  readonly payloads?: Readonly<Record<string, PayloadFacts>> | undefined
  /** Stops the recording, as `stop()` does. */
  readonly signal?: AbortSignal | undefined
}

export const recorderNames = [
  'file',
  'overwrite',
  'maxBytes',
  'maxTime',
  'last',
  'lastBytes',
  'interval',
  'payloads',
  'signal',
] as const

/** RecorderOptions that were read. */
export interface RecorderSettings {
  readonly path: string
  readonly overwrite: boolean
  readonly split: SplitOptions
  readonly last: number | undefined
  readonly lastBytes: number
  readonly interval: number
  readonly payloads: Readonly<Record<string, PayloadFacts | undefined>>
  readonly signal: AbortSignal | undefined
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function readRecorderOptions(given: RecorderOptions | undefined): RecorderSettings {
  const options = checkOptions(given, recorderNames)
  return {
    path: checkPath(options.file),
    overwrite: flag(options, 'overwrite'),
    split: {
      maxBytes: wholeNumber(options, 'maxBytes', Infinity, [65_536, Number.MAX_SAFE_INTEGER]),
      maxTime: duration(options, 'maxTime', Infinity),
    },
    last: options.last === undefined ? undefined : duration(options, 'last', 0),
    lastBytes: wholeNumber(options, 'lastBytes', 2 ** 28, [1, 2 ** 40]),
    interval: duration(options, 'interval', 5),
    payloads: readPayloads(options.payloads),
    signal: checkSignal(options.signal),
  }
}

function readPayloads(given: unknown): Readonly<Record<string, PayloadFacts | undefined>> {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null) {
    throw invalidArgument(
      `payloads must be an object of channels by their names, not ${show(given)}`,
    )
  }
  for (const [name, payload] of Object.entries(given)) {
    const { encoding, schema } = checkOptions(payload as PayloadFacts, ['encoding', 'schema'])
    if (encoding !== undefined && typeof encoding !== 'string') {
      throw invalidArgument(`payloads: the encoding of '${name}' must be a string`)
    }
    if (schema === undefined) continue
    const known = checkOptions(schema, ['name', 'encoding', 'data'])
    const isWhole =
      typeof known.name === 'string' &&
      typeof known.encoding === 'string' &&
      known.data instanceof Uint8Array
    if (!isWhole) {
      throw invalidArgument(
        `payloads: the schema of '${name}' must have a name and an encoding, which are strings, and data, which are bytes`,
      )
    }
  }
  return given as Record<string, PayloadFacts>
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkSources(sources: readonly unknown[]): void {
  if (!Array.isArray(sources) || sources.length === 0) {
    throw invalidArgument('there must be something to record: a channel, or more of them')
  }
  if (sources.length > mostSources) {
    throw invalidArgument(
      `${String(sources.length)} channels are more than fit into a file, which takes ${String(mostSources)}: make several recordings`,
    )
  }
}
