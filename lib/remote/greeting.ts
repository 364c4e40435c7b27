// The first words on a connection to something that is shared: what the client wants must be what there is.

import type { WaitOptions } from '../base/options.js'
import { MillraceError, type ErrorCode } from '../errors.js'
import type { Channel } from '../net/channel.js'

/** What is shared. */
export type Kind = 'work' | 'topics' | 'group' | 'calls' | 'frames' | 'frames-from'

const longest = 4096
/** Of a name in a message. */
const longestName = 64
/** What describes a contract of very many functions. */
const longestDescription = 4 * 2 ** 20
const refusals: readonly ErrorCode[] = ['ERR_MILLRACE_SCHEMA', 'ERR_MILLRACE_PROTOCOL']

/** For messages: what there is, or was asked for. */
const shown: Readonly<Record<Kind, string>> = {
  work: 'a work queue',
  topics: 'a bus of topics',
  group: 'a bus of topics',
  calls: 'a contract of calls',
  frames: 'a gateway that takes frames',
  'frames-from': 'a gateway that sends frames',
}

interface Words {
  readonly kind?: unknown
  /** Of the contract. */
  readonly name?: unknown
  readonly fingerprint?: unknown
  readonly refusal?: unknown
  readonly message?: unknown
  /** Asks what is shared, instead of using it; or the answer to that. */
  readonly description?: unknown
  /** Contexts of traces may go along with calls: those of older versions do not say so. */
  readonly traces?: unknown
}

/** What is shared, as far as the first words are about it. */
export interface Greeted {
  readonly kind: Kind
  readonly fingerprint: bigint
  /** Of the contract that is served. */
  readonly name?: string | undefined
  /** For who asks what is shared: what JSON can say of it. */
  readonly describe?: (() => object) | undefined
}

/** What is to be used: a contract. */
export interface Wanted {
  readonly fingerprint: bigint
  /** Of one that is called by its user. */
  readonly name?: string | undefined
}

/**
 * Resolves with whether contexts of traces may go along.
 *
 * @throws MillraceError (as rejection) `SCHEMA` (something else is shared there), `PROTOCOL`, `PEER_GONE`, `TIMEOUT`, `ABORTED`
 */
export async function greet(
  channel: Channel,
  kind: Kind,
  { fingerprint, name }: Wanted,
  wait: WaitOptions,
): Promise<boolean> {
  const words = { kind, fingerprint: String(fingerprint), name: name?.slice(0, longestName) }
  await channel.send(wordsOf(words), wait)
  const answer = read(await channel.receive(wait), channel)
  throwRefusal(answer)
  return answer.traces === true
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
  const { kind, fingerprint, name, describe } = wanted ?? shared[0]
  if (wanted !== undefined && words.fingerprint === String(fingerprint)) {
    await channel.send(wordsOf(kind === 'calls' ? { kind, traces: true } : { kind }), wait)
    return wanted
  }
  if (wanted !== undefined && words.description === true && describe !== undefined) {
    await channel.send(wordsOf({ kind, description: describe() }), wait)
    return undefined
  }
  const message =
    wanted !== undefined
      ? otherVersion(channel.address, kind, name, words.name)
      : `at '${channel.address}' there is ${shown[kind]}, and ${shownKind(words.kind)} was asked for: see that the address is right`
  const refusal = 'ERR_MILLRACE_SCHEMA'
  await channel.send(wordsOf({ refusal, message }), wait)
  throw new MillraceError(refusal, message)
}

function shownKind(kind: unknown): string {
  return Object.hasOwn(shown, kind as string) ? shown[kind as Kind] : 'something else'
}

function otherVersion(
  address: string,
  kind: Kind,
  there: string | undefined,
  here: unknown,
): string {
  const cure = 'give both sides the same contract, and the same version of millrace'
  if (there === undefined) {
    return `at '${address}' there is ${shown[kind]} of another version of millrace than the client has: ${cure}`
  }
  const own = there.slice(0, longestName)
  const asked = typeof here === 'string' ? here.slice(0, longestName) : own
  const what = asked === own ? 'another version of it' : `the contract '${asked}'`
  return `at '${address}' the contract '${own}' is served, and the client has ${what}: ${cure}`
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
