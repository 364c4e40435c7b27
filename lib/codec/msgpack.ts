// MessagePack, by msgpackr: an optional peer, loaded when the first value is encoded or decoded.

import { MillraceError } from '../errors.js'
import { notDecoded, notEncoded } from './failure.js'
import type { Codec } from './types.js'

/** What is used of it. */
interface Msgpackr {
  readonly Packr: new (options: Readonly<Record<string, unknown>>) => Packr
}

interface Packr {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}

/**
 * Values as MessagePack, which is smaller than JSON and carries bytes, Dates, Sets and BigInts; for other languages, too. A Map arrives
 * as an object. Needs the package `msgpackr` (`npm install msgpackr`): without it every call throws `ERR_MILLRACE_MISSING_PEER`.
 *
 * Throws `INVALID_ARGUMENT` for what it cannot carry: a cycle, a symbol, a function.
 */
export const msgpack: Codec = {
  name: 'msgpack',
  encode(value) {
    const own = packr()
    try {
      return own.pack(value)
    } catch (error) {
      throw notEncoded('msgpack', whyNot(error), error)
    }
  },
  decode(bytes) {
    const own = packr()
    try {
      return own.unpack(bytes)
    } catch (error) {
      throw notDecoded('msgpack', error)
    }
  },
}

const loaded: { packr?: Packr } = {}

/** Loaded once it is needed, and then one for all: it keeps nothing of a value, and learns nothing from one. */
function packr(): Packr {
  return (loaded.packr ??= load())
}

function load(): Packr {
  const { createRequire } = process.getBuiltinModule('node:module')
  const name = 'msgpackr' // a bundler does not look for it
  let msgpackr: Msgpackr
  try {
    msgpackr = createRequire(import.meta.url)(name) as Msgpackr
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_MISSING_PEER',
      "the codec 'msgpack' needs the package msgpackr, which could not be loaded: npm install msgpackr",
      { cause },
    )
  }
  // Records are taught on the way: whoever did not hear the beginning understands nothing. Bytes are copied out of the input.
  return new msgpackr.Packr({
    useRecords: false,
    copyBuffers: true,
    moreTypes: true,
    // Written as `undefined`, without a word, it would be.
    writeFunction: () => {
      throw new TypeError('a function has no value')
    },
  })
}

function whyNot(error: unknown): string {
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return 'it contains itself (or is nested very deeply), and MessagePack has no references; send parts of it, or use the codec structured'
  }
  return error instanceof Error ? error.message : String(error)
}
