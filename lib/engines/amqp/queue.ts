// What stands for a queue in RabbitMQ: quorum queues, which the first one who opens them declares.
//
//   NAME            what is pushed
//   NAME-dead       dead letters: the oldest makes room
//   NAME-delay-MS   what is due in so many milliseconds: it goes to NAME when its time is over. Made when it is needed
//
// The server tells nobody what a queue has, but who declares one with something else hears of the first difference. So what the program does
// not say is learned by that. What such a queue loses or gives up, it gives to the next one only when that has confirmed it.

import { MillraceError } from '../../errors.js'
import type { EngineQueueFacts, EngineQueueOptions } from '../port.js'
import type { AmqpLine } from './connection.js'

const usualAttempts = 5
const usualDead = 128
/** Stands for no limit: a server of version 4 has one of its own where nothing is said. */
const noLimit = 2_147_483_647

const of = {
  type: 'x-queue-type',
  jobs: 'x-max-length',
  bytes: 'x-max-length-bytes',
  attempts: 'x-delivery-limit',
  overflow: 'x-overflow',
  exchange: 'x-dead-letter-exchange',
  key: 'x-dead-letter-routing-key',
  strategy: 'x-dead-letter-strategy',
  ttl: 'x-message-ttl',
} as const

/** By its names in RabbitMQ; undefined: it has none. */
type Arguments = Record<string, string | number | undefined>

/** What is said of a queue by its names here, and by those of RabbitMQ. */
type Said = readonly (readonly [what: string, argument: string, value: number | undefined])[]

export interface AmqpQueue {
  readonly name: string
  readonly dead: string | undefined
  /** 0: no limit. */
  readonly attempts: number
  readonly leaseMs: number
  readonly facts: EngineQueueFacts
}

/**
 * The queue; made if it does not exist.
 *
 * @throws MillraceError (as rejection) `GEOMETRY`, `PERMISSION`, `PEER_GONE`
 */
export async function openQueue(
  line: AmqpLine,
  name: string,
  wanted: EngineQueueOptions,
  maxBytes: number,
): Promise<AmqpQueue> {
  const { jobs, bytes, attempts, dead, deadBytes, leaseMs = 0, durability } = wanted
  const isDead = name.endsWith('-dead')
  const said: Said = [
    ['jobs', of.jobs, jobs],
    ['bytes', of.bytes, bytes],
    ['maxAttempts', of.attempts, attempts === undefined ? undefined : limitOf(attempts)],
  ]
  const has = isDead
    ? await declare(line, name, deadArguments(jobs, bytes), said)
    : await declare(line, name, workArguments(name, wanted), said, dead)
  const keepsDead = has[of.exchange] !== undefined
  if (keepsDead) {
    const limits: Said = [
      ['deadLetters.jobs', of.jobs, dead],
      ['deadLetters.bytes', of.bytes, deadBytes],
    ]
    await declare(line, `${name}-dead`, deadArguments(dead, deadBytes), limits)
  }
  const limit = has[of.attempts] as number | undefined
  const maxAttempts = limit === undefined || limit >= noLimit ? 0 : limit + 1
  return {
    name,
    dead: keepsDead ? `${name}-dead` : undefined,
    attempts: maxAttempts,
    leaseMs,
    facts: {
      jobs: (has[of.jobs] as number | undefined) ?? Infinity,
      bytes: (has[of.bytes] as number | undefined) ?? Infinity,
      maxBytes,
      maxAttempts,
      // Who wants less has that, too.
      durability: durability ?? 'disk',
      dedups: false,
      priorities: 1,
    },
  }
}

/** Whence what is published comes to the queue so many milliseconds later, or a little after that: there is a queue for each time. */
export async function openDelay(
  line: AmqpLine,
  { name }: AmqpQueue,
  delay: number,
): Promise<string> {
  const ms = delayOf(delay)
  const queue = `${name}-delay-${String(ms)}`
  await declare(line, queue, { ...safe, [of.ttl]: ms, ...deadLetters(name) }, [])
  return queue
}

/** Made again, if somebody has removed it. */
export async function openDead(line: AmqpLine, dead: string): Promise<void> {
  await declare(line, dead, deadArguments(undefined, undefined), [])
}

/** Rounded up to two digits: times that are almost the same share a queue. */
export function delayOf(delay: number): number {
  const ms = Math.max(Math.ceil(delay), 1)
  const unit = 10 ** Math.max(String(ms).length - 2, 0)
  return Math.ceil(ms / unit) * unit
}

const safe: Arguments = { [of.type]: 'quorum', [of.overflow]: 'reject-publish' }

function deadLetters(to: string): Arguments {
  return { [of.exchange]: '', [of.key]: to, [of.strategy]: 'at-least-once' }
}

function workArguments(name: string, wanted: EngineQueueOptions): Arguments {
  const { jobs, bytes, attempts = usualAttempts, dead } = wanted
  return {
    ...safe,
    [of.jobs]: jobs,
    [of.bytes]: bytes,
    [of.attempts]: limitOf(attempts),
    ...(dead === 0 ? {} : deadLetters(`${name}-dead`)),
  }
}

function deadArguments(jobs: number = usualDead, bytes: number | undefined): Arguments {
  return { [of.type]: 'quorum', [of.jobs]: jobs, [of.bytes]: bytes }
}

/** How often it may come back. */
function limitOf(attempts: number): number {
  return attempts === 0 ? noLimit : attempts - 1
}

/** What the queue has, when it was declared. `dead`: what is said of dead letters. */
async function declare(
  line: AmqpLine,
  name: string,
  given: Arguments,
  said: Said,
  dead?: number,
): Promise<Arguments> {
  let has = given
  // Each round learns one of them.
  for (let left = 8; ; left--) {
    const failure = await declared(line, name, has)
    if (failure === undefined) return has
    const { code } = failure as { readonly code?: number }
    // Of an exclusive queue of somebody else.
    if (code === 405) throw notOurs(line, name, failure)
    if (code !== 406) throw line.told(failure, 'no')
    const learned = left > 0 ? differenceOf(failure.message) : undefined
    if (learned === undefined) throw notOurs(line, name, failure)
    has = learn(line, name, has, learned, said, dead, failure)
  }
}

async function declared(
  line: AmqpLine,
  name: string,
  wanted: Arguments,
): Promise<Error | undefined> {
  const entries = Object.entries(wanted).filter(([, value]) => value !== undefined)
  const channel = await line.channel(() => undefined)
  try {
    await channel.assertQueue(name, { durable: true, arguments: Object.fromEntries(entries) })
  } catch (error) {
    return error as Error
  }
  await channel.close().catch(() => undefined) // the connection has ended
  return undefined
}

interface Difference {
  readonly argument: string
  /** Undefined: it has none. */
  readonly is: string | undefined
}

function differenceOf(message: string): Difference | undefined {
  const found =
    /inequivalent arg '([^']+)' .* but current is (?:none|(?:the value )?'([^']*)')/.exec(message)
  return found === null ? undefined : { argument: found[1]!, is: found[2] }
}

function learn(
  line: AmqpLine,
  name: string,
  has: Arguments,
  { argument, is }: Difference,
  said: Said,
  dead: number | undefined,
  failure: Error,
): Arguments {
  if (argument === of.exchange && dead === undefined && is === undefined) {
    return { ...has, [of.exchange]: undefined, [of.key]: undefined, [of.strategy]: undefined }
  }
  const its = said.find(([, name]) => name === argument)
  if (its === undefined) throw notOurs(line, name, failure)
  const [what, , value] = its
  const number = is === undefined ? undefined : Number(is)
  if (value === undefined) return { ...has, [argument]: number }
  const shift = argument === of.attempts ? 1 : 0
  throw new MillraceError(
    'ERR_MILLRACE_GEOMETRY',
    `the queue '${name}' at '${line.shown}' was created with other options: ${what} ${number === undefined || number >= noLimit ? 'without limit' : String(number + shift)}, ` +
      `not ${value >= noLimit ? 'without limit' : String(value + shift)}: leave them out, or say what it has`,
    { cause: failure, executed: 'no' },
  )
}

function notOurs({ shown }: AmqpLine, name: string, cause: Error): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_GEOMETRY',
    `the queue '${name}' at '${shown}' is not as millrace makes it, or has dead letters where none are wanted (${cause.message}): take another name, say what it has, or remove it`,
    { cause, executed: 'no' },
  )
}
