// The first words on a connection to something that is shared: what the client wants must be what there is.

import type { WaitOptions } from '../base/options.js'
import { MillraceError, type ErrorCode } from '../errors.js'
import type { Channel } from '../net/channel.js'

/** What is shared. */
export type Kind = 'work' | 'topics' | 'group' | 'calls'

const longest = 4096
/** What describes a contract of very many functions. */
const longestDescription = 4 * 2 ** 20
const refusals: readonly ErrorCode[] = ['ERR_MILLRACE_SCHEMA', 'ERR_MILLRACE_PROTOCOL']

interface Words {
  readonly kind?: unknown
  readonly fingerprint?: unknown
  readonly refusal?: unknown
  readonly message?: unknown
  /** Asks what is shared, instead of using it; or the answer to that. */
  readonly description?: unknown
}

/** What is shared, as far as the first words are about it. */
export interface Greeted {
  readonly kind: Kind
  readonly fingerprint: bigint
  /** For who asks what is shared: what JSON can say of it. */
  readonly describe?: (() => object) | undefined
}

/** @throws MillraceError (as rejection) `SCHEMA` (something else is shared there), `PROTOCOL`, `PEER_GONE`, `TIMEOUT`, `ABORTED` */
export async function greet(
  channel: Channel,
  kind: Kind,
  fingerprint: bigint,
  wait: WaitOptions,
): Promise<void> {
  await channel.send(wordsOf({ kind, fingerprint: String(fingerprint) }), wait)
  throwRefusal(read(await channel.receive(wait), channel))
}

/**
 * What is shared, as whoever shares it describes it.
 *
 * @throws MillraceError (as rejection) as `greet`
 */
export async function ask(channel: Channel, kind: Kind, wait: WaitOptions): Promise<unknown> {
  await channel.send(wordsOf({ kind, description: true }), wait)
  const words = read(await channel.receive(wait), channel, longestDescription)
  throwRefusal(words)
  return words.description
}

function throwRefusal({ refusal, message }: Words): void {
  if (refusal === undefined) return
  const code = refusals.find((one) => one === refusal) ?? 'ERR_MILLRACE_PROTOCOL'
  throw new MillraceError(
    code,
    typeof message === 'string' ? message : 'the other side has refused',
  )
}

/**
 * Which of what is shared somebody wants to use. Undefined: it has only asked, and was told.
 *
 * @throws MillraceError (as rejection) as `greet`; the other side is told.
 */
export async function welcome<G extends Greeted>(
  channel: Channel,
  shared: readonly [G, ...G[]],
  wait: WaitOptions,
): Promise<G | undefined> {
  const words = read(await channel.receive(wait), channel)
  const wanted = shared.find((one) => one.kind === words.kind)
  const { kind, fingerprint, describe } = wanted ?? shared[0]
  if (wanted !== undefined && words.fingerprint === String(fingerprint)) {
    await channel.send(wordsOf({ kind }), wait)
    return wanted
  }
  if (wanted !== undefined && words.description === true && describe !== undefined) {
    await channel.send(wordsOf({ kind, description: describe() }), wait)
    return undefined
  }
  const message =
    wanted !== undefined
      ? `at '${channel.address}' is another version of ${kind} than this side has: give both sides the same contract, and the same version of millrace`
      : `at '${channel.address}' is ${kind}, and ${typeof words.kind === 'string' ? words.kind.slice(0, 32) : 'something else'} was asked for: see that the address is right`
  const refusal = 'ERR_MILLRACE_SCHEMA'
  await channel.send(wordsOf({ refusal, message }), wait)
  throw new MillraceError(refusal, message)
}

function wordsOf(words: Words): Buffer {
  return Buffer.from(JSON.stringify(words))
}

function read(bytes: Buffer | undefined, channel: Channel, most = longest): Words {
  if (bytes !== undefined && bytes.length <= most) {
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
