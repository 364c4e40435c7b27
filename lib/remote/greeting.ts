// The first words on a connection to something that is shared: what the client wants must be what there is.

import type { WaitOptions } from '../base/options.js'
import { MillraceError, type ErrorCode } from '../errors.js'
import type { Channel } from '../net/channel.js'

/** What is shared. */
export type Kind = 'work' | 'topics' | 'calls'

const longest = 4096
const refusals: readonly ErrorCode[] = ['ERR_MILLRACE_SCHEMA', 'ERR_MILLRACE_PROTOCOL']

interface Words {
  readonly kind?: unknown
  readonly fingerprint?: unknown
  readonly refusal?: unknown
  readonly message?: unknown
}

/** @throws MillraceError (as rejection) `SCHEMA` (something else is shared there), `PROTOCOL`, `PEER_GONE`, `TIMEOUT`, `ABORTED` */
export async function greet(
  channel: Channel,
  kind: Kind,
  fingerprint: bigint,
  wait: WaitOptions,
): Promise<void> {
  await channel.send(wordsOf({ kind, fingerprint: String(fingerprint) }), wait)
  const { refusal, message } = read(await channel.receive(wait), channel)
  if (refusal === undefined) return
  const code = refusals.find((one) => one === refusal) ?? 'ERR_MILLRACE_PROTOCOL'
  throw new MillraceError(
    code,
    typeof message === 'string' ? message : 'the other side has refused',
  )
}

/** @throws MillraceError (as rejection) as `greet`; the other side is told. */
export async function welcome(
  channel: Channel,
  kind: Kind,
  fingerprint: bigint,
  wait: WaitOptions,
): Promise<void> {
  const words = read(await channel.receive(wait), channel)
  if (words.kind === kind && words.fingerprint === String(fingerprint)) {
    await channel.send(wordsOf({ kind }), wait)
    return
  }
  const message =
    words.kind === kind
      ? `at '${channel.address}' is another version of ${kind} than this side has: give both sides the same contract, and the same version of millrace`
      : `at '${channel.address}' is ${kind}, and ${typeof words.kind === 'string' ? words.kind.slice(0, 32) : 'something else'} was asked for: see that the address is right`
  const refusal = 'ERR_MILLRACE_SCHEMA'
  await channel.send(wordsOf({ refusal, message }), wait)
  throw new MillraceError(refusal, message)
}

function wordsOf(words: Words): Buffer {
  return Buffer.from(JSON.stringify(words))
}

function read(bytes: Buffer | undefined, channel: Channel): Words {
  if (bytes !== undefined && bytes.length <= longest) {
    try {
      const words: unknown = JSON.parse(bytes.toString())
      if (typeof words === 'object' && words !== null) return words
    } catch {
      // Whatever it is, it is none of ours.
    }
  }
  throw new MillraceError(
    'ERR_MILLRACE_PROTOCOL',
    `whoever is at '${channel.address}' does not say what it shares, or wants: share() and open() belong together, as connect() and listen() do`,
  )
}
