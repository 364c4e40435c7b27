// What stands for a queue in Redis, opened and judged; and what the server promises of it.

import { MillraceError } from '../../errors.js'
import type { EngineConnection, EngineQueueFacts, EngineQueueOptions } from '../port.js'
import type { RedisLine } from './connection.js'
import { openScript, type RedisScript } from './scripts.js'

/** Milliseconds after which a worker that shows no sign of life has lost its job. */
const silenceMs = 10_000
const usualAttempts = 5
const usualDead = 128
const usualWindowMs = 120_000
/** The longest string that a server takes, if it does not say (proto-max-bulk-len). */
const longestString = 536_870_912

/** A queue as it is. */
export interface RedisQueue {
  readonly name: string
  /** 0: no limit. */
  readonly attempts: number
  readonly dead: number
  /** As it was said; 0: as long as its worker lives. */
  readonly leaseMs: number
  /** Milliseconds until a job is given to somebody else. */
  readonly silenceMs: number
  readonly windowMs: number
  /** 0: no limit. */
  readonly jobs: number
  readonly facts: EngineQueueFacts
}

/** Runs a script on the queue; the server is told it anew when it has forgotten it. */
export async function run(
  line: RedisLine,
  name: string,
  { text, sha }: RedisScript,
  args: readonly (string | Buffer)[],
): Promise<unknown> {
  try {
    return await line.client.sendCommand(['EVALSHA', sha, '1', name, ...args])
  } catch (error) {
    if (!(error as Error).message.startsWith('NOSCRIPT')) throw line.told(error)
  }
  return await line.asked(['EVAL', text, '1', name, ...args])
}

/**
 * The queue; made if it does not exist.
 *
 * @throws MillraceError (as rejection) `UNSUPPORTED` (what the server does not promise), `GEOMETRY`, `NO_SPACE`, `PERMISSION`, `PEER_GONE`
 */
export async function openQueue(
  line: RedisLine,
  name: string,
  wanted: EngineQueueOptions,
  connection: EngineConnection,
): Promise<RedisQueue> {
  const server = await serverOf(line)
  assertKeeps(line, server)
  const durability = durabilityOf(line, wanted.durability, server)
  const { attempts, dead, leaseMs, windowMs, jobs, alone } = wanted
  const said = [
    attempts ?? usualAttempts,
    dead ?? usualDead,
    leaseMs ?? 0,
    windowMs === undefined || windowMs === 0 ? usualWindowMs : windowMs,
    jobs ?? 0,
    alone === true ? 1 : 0,
  ].map((number) => String(Math.round(number)))
  const found = (await run(line, name, openScript, said)) as readonly (Buffer | null)[]
  const [version, ...kept] = found.map((value) => (value === null ? NaN : Number(value.toString())))
  if (version !== 1 || kept.some(Number.isNaN)) {
    throw new MillraceError(
      'ERR_MILLRACE_GEOMETRY',
      `the key 'millrace:${name}' at '${line.shown}' is not of this version's making: take another name, or remove it`,
    )
  }
  const [hasAttempts, hasDead, hasLease, hasWindow, hasJobs] = kept as [
    number,
    number,
    number,
    number,
    number,
  ]
  judge(line, name, [
    ['leaseTimeout', hasLease, leaseMs],
    ['dedupWindow', hasWindow, windowMs === 0 ? undefined : windowMs],
    ['deadLetters.jobs', hasDead, dead],
  ])
  return {
    name,
    attempts: hasAttempts,
    dead: hasDead,
    leaseMs: hasLease,
    silenceMs: hasLease === 0 ? silenceMs : hasLease,
    windowMs: hasWindow,
    jobs: hasJobs,
    facts: {
      jobs: hasJobs === 0 ? Infinity : hasJobs,
      bytes: Infinity,
      maxBytes: Math.min(connection.maxBytes, server.longest),
      maxAttempts: hasAttempts,
      durability,
      dedups: true,
      priorities: 32,
    },
  }
}

/** What a server says of itself; undefined: it does not let this user ask. */
export interface RedisServer {
  readonly info: ReadonlyMap<string, string> | undefined
  readonly fsync: string | undefined
  readonly longest: number
}

export async function serverOf(line: RedisLine): Promise<RedisServer> {
  const info = await line.asked(['INFO']).then(pairsOf, ifRefused)
  const longest = Number((await settingOf(line, 'proto-max-bulk-len')) ?? longestString)
  return { info, fsync: await settingOf(line, 'appendfsync'), longest }
}

/** Undefined: the server has no such setting, or does not let this user ask. */
export async function settingOf(line: RedisLine, name: string): Promise<string | undefined> {
  const answer: unknown = await line.asked(['CONFIG', 'GET', name]).catch(ifRefused)
  // A list of pairs, or, as newer connections have it, an object.
  const pair: unknown = Array.isArray(answer) ? answer : Object.entries(answer ?? {})[0]
  return (pair as readonly (string | Buffer)[] | undefined)?.[1]?.toString()
}

/** Where servers are kept by others, CONFIG and INFO may be forbidden, or have other names. */
function ifRefused(error: unknown): undefined {
  const { code, message } = error as MillraceError
  if (code === 'ERR_MILLRACE_PERMISSION' || /unknown command/i.test(message)) return undefined
  throw error
}

function pairsOf(answer: unknown): ReadonlyMap<string, string> {
  const lines = String(answer).split('\r\n')
  return new Map(
    lines
      .filter((line) => line.includes(':'))
      .map((line) => {
        const at = line.indexOf(':')
        return [line.slice(0, at), line.slice(at + 1)]
      }),
  )
}

/** Where parts of a queue may be thrown away, or are on other servers, there is none. */
function assertKeeps(line: RedisLine, { info }: RedisServer): void {
  const mode = info?.get('redis_mode') ?? 'standalone'
  const policy = info?.get('maxmemory_policy') ?? ''
  const why =
    mode !== 'standalone'
      ? `is a ${mode}: give the address of a server that has the whole queue`
      : policy.startsWith('allkeys') && info?.get('maxmemory') !== '0'
        ? `throws keys away when its memory is full (maxmemory-policy ${policy}), jobs among them: it needs noeviction`
        : undefined
  if (why === undefined) return
  throw new MillraceError('ERR_MILLRACE_UNSUPPORTED', `the server at '${line.shown}' ${why}`, {
    executed: 'no',
  })
}

/** A server keeps all its keys in one way. */
function durabilityOf(
  line: RedisLine,
  wanted: EngineQueueOptions['durability'],
  { info, fsync }: RedisServer,
): 'memory' | 'file' | 'disk' {
  const isLogged = info === undefined ? undefined : info.get('aof_enabled') === '1'
  const is = isLogged === true ? (fsync === 'always' ? 'disk' : 'file') : 'memory'
  if (wanted === undefined) return is
  const order = ['memory', 'file', 'disk'] as const
  if (order.indexOf(is) >= order.indexOf(wanted)) return wanted
  const why =
    isLogged === undefined
      ? 'the server does not tell this user what it keeps (INFO)'
      : isLogged && fsync === undefined
        ? 'the server does not tell this user when what it keeps is on the disk (CONFIG GET appendfsync)'
        : `the server keeps it as ${is}`
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `durability ${wanted} of '${line.shown}': ${why}; it needs ${wanted === 'disk' ? 'appendonly yes and appendfsync always' : 'appendonly yes'}`,
    { executed: 'no' },
  )
}

/** What only the engine knows of a queue; the rest is judged by whoever has opened it. */
function judge(
  line: RedisLine,
  name: string,
  differences: readonly (readonly [what: string, is: number, said: number | undefined])[],
): void {
  const wrong = differences.filter(([, is, said]) => said !== undefined && said !== is)
  if (wrong.length === 0) return
  throw new MillraceError(
    'ERR_MILLRACE_GEOMETRY',
    `the queue '${name}' at '${line.shown}' was created with other options: ${wrong.map(([what, is, said]) => `${what} ${String(is)}, not ${String(said)}`).join('; ')}: ` +
      'leave them out, or say what it has',
  )
}
