// An engine as the drills see it, and what they share.

import type { ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import type { TopicsOptions } from 'millrace/topics'
import type { WorkQueue, WorkQueueOptions } from 'millrace/work'

import { selfSigned, type Certificate } from '../../../support/certificate.js'
import { until } from '../../../support/until.js'
import { proxyTo, type Proxy } from '../proxy.js'

/** As the rows of the table have it, and what each is about. */
export const drillNames = {
  absent: 'not there at start',
  away: 'away, and back',
  empty: 'back, and empty',
  slow: 'slow',
  still: 'stands still',
  full: 'full',
  password: 'wrong password',
  certificate: 'wrong certificate',
  unknown: 'no such queue, topic or function',
  large: 'a message that is too large',
  poison: 'a poison message',
  rebalance: 'workers come and go while jobs are settled',
} as const

export type DrillName = keyof typeof drillNames

/** What a server is to have. */
export interface Setup {
  /** Does it run? Default true. */
  readonly started?: boolean
  /** Must users say the password that `secrets` of the engine has? */
  readonly password?: boolean
  /** Does it speak TLS, with this? */
  readonly certificate?: Certificate
  /** How many processes are to work on one queue at a time? Default 1. */
  readonly workers?: number
  /** Are long messages longer than it takes? */
  readonly small?: boolean
  /** Does it keep what it has confirmed, whatever becomes of its process? */
  readonly keeps?: boolean
}

/** A server, as a drill sees it. */
export interface DrillServer {
  readonly port: number
  address(name: string, secret?: string): string
  start(): Promise<void>
  end(): Promise<void>
  /** While it is not there: what it has kept is gone. */
  forget(): void | Promise<void>
  pause(): void
  resume(): void
  /** Through which everybody reaches it, where it tells its port to its clients. */
  readonly proxy?: Proxy
}

/** A drill that an engine has of its own, or cannot have. */
export interface Own {
  /** What the table says. */
  readonly told: string
  /** What is so then. */
  readonly drill: (t: ExecutionContext) => Promise<void>
}

export interface Part {
  /** Null: there is nothing of it that it could happen to. */
  readonly own: Partial<Record<DrillName, Own | null>>
  /** Milliseconds of silence that mean death, as short as the engine has it. */
  readonly heartbeat: number
}

export interface WorkPart<S extends DrillServer> extends Part {
  readonly options?: WorkQueueOptions
  /** Milliseconds of a lease, where it is silence that ends one. */
  readonly leaseMs?: number
  /** How a queue is made again that somebody has removed; undefined: the engine lets nobody do that. */
  readonly remove?: (t: ExecutionContext, server: S, name: string) => Promise<void>
  /** Makes something of that name that is no queue of this package, and what is said of that. */
  readonly occupy?: (t: ExecutionContext, server: S, name: string) => Promise<void>
  readonly occupied?: RegExp
  /** The longest payload that a small server takes; the next one is refused. */
  readonly most: number
  /** Does the server tell that? Default true. */
  readonly tells?: boolean
  /** Does an id count for it? */
  readonly counts?: boolean
  /** Makes the server refuse the next one, where it does not look at the length. */
  readonly refuse?: (server: S) => Promise<void>
  /** What a queue is to have, so that a server which keeps what it has confirmed keeps it. */
  readonly kept?: WorkQueueOptions
  /** Can jobs wait for their time? Default true. */
  readonly delays?: boolean
  /** What makes workers who settle jobs at that moment fail to do so. */
  readonly disturb?: (server: S) => Promise<void>
  /** Does a job that kills its workers become a dead letter? Default true. */
  readonly buries?: boolean
}

export interface TopicsPart<S extends DrillServer> extends Part {
  readonly options?: TopicsOptions
  /** The longest payload that a small server takes without headers. */
  readonly most: number
  readonly tells?: boolean
  readonly refuse?: (server: S) => Promise<void>
  /** A length that goes there and comes back. */
  readonly fits: number
}

export interface CallsPart extends Part {
  /** The library makes connections anew by itself, and tells nobody. */
  readonly holds?: boolean
  /** The longest text that goes there and back. */
  readonly most: number
}

export interface DrilledEngine<S extends DrillServer = DrillServer> {
  /** As the table has it. */
  readonly name: string
  server(t: ExecutionContext, setup: Setup): Promise<S>
  /** The one that its servers have; undefined: whichever they are given. */
  readonly certificate?: Certificate
  /** The name of a queue, a bus or a contract that nobody has used. */
  newName(): string
  /** What a time-out tells to do where nobody answers. */
  readonly cure: RegExp
  /** What is said of a payload that is too long. */
  readonly tooLarge?: RegExp
  /** `user:password`, as in an address. */
  readonly secrets?: { readonly right: string; readonly wrong: readonly string[] }
  readonly work?: WorkPart<S>
  readonly topics?: TopicsPart<S>
  readonly calls?: CallsPart
}

export const reconnect = { base: 20, cap: 500 }
/** Milliseconds that a server stays away; 0: until several attempts to reach it have failed. */
export const downMs = Number(process.env['MILLRACE_DRILL_DOWN'] ?? 0)
/** For what comes as soon as the machine has the time for it, and the server is there. */
export const patience = { timeout: 60_000 + downMs }

/** What work, topics and calls have in common. */
export interface Handle {
  readonly connection?: WorkQueue['connection']
  readonly name?: string
  readonly closed?: boolean
  close(): void
}

/** A server stays away until all of these have tried to reach it several times. */
export async function awayFor(...handles: readonly Handle[]): Promise<void> {
  await until(() => handles.every(({ connection }) => connection!.attempts >= 3), 60_000)
  await new Promise((resolve) => setTimeout(resolve, downMs))
}

/** A server that is reached through somebody who makes it slow. */
export async function slowServer(
  t: ExecutionContext,
  engine: DrilledEngine,
  name: string,
): Promise<{ readonly server: DrillServer; readonly proxy: Proxy; readonly address: string }> {
  const server = await engine.server(t, {})
  const proxy = server.proxy ?? (await proxyTo(t, server.port))
  const address = server.address(name).replace(String(server.port), String(proxy.port))
  return { server, proxy, address }
}

/** Milliseconds that bytes are on their way to a slow server, or from it. */
export const slowMs = 200

export async function broken({ connection }: Handle): Promise<void> {
  await until(() => connection!.state !== 'connected', 60_000)
}

/** Runs `use` with a right password, and with wrong ones, which no error tells. */
export async function passwords<H extends Handle>(
  t: ExecutionContext,
  { secrets }: DrilledEngine,
  server: DrillServer,
  name: string,
  open: (address: string) => H | Promise<H>,
  use: (handle: H) => Promise<unknown>,
): Promise<void> {
  const { right, wrong } = secrets!
  for (const secret of wrong) {
    let handle: H | undefined
    const error = await t.throwsAsync(
      async () => {
        handle = await open(server.address(name, secret))
        await use(handle)
      },
      { code: 'ERR_MILLRACE_PERMISSION' },
      secret,
    )
    const said = `${error.message} ${JSON.stringify([handle?.name, handle?.connection])}`
    for (const password of [right, secret].map((one) => one.split(':')[1] ?? '')) {
      if (password.length < 4) continue
      t.false(said.includes(password) || said.includes(decodeURIComponent(password)), said)
    }
    // Of calls, connecting is refused.
    t.not(handle?.closed, false)
  }
  await use(await open(server.address(name, right)))
}

/** Runs `use` with the certificate of the server, and sees that nothing else is taken for it. */
export async function certificates<H extends Handle>(
  t: ExecutionContext,
  engine: DrilledEngine,
  name: string,
  open: (address: string, tls: object | undefined) => H | Promise<H>,
  use: (handle: H) => Promise<unknown>,
): Promise<void> {
  const mine = engine.certificate ?? selfSigned()
  const server = await engine.server(t, { certificate: mine })
  const address = server.address(name)
  await use(await open(address, { ca: mine.cert }))
  for (const tls of [{ ca: selfSigned().cert }, {}, undefined]) {
    const handle = await open(address, tls)
    use(handle).catch(() => undefined) // it waits until the handle is closed
    await until(() => handle.connection!.lastError !== undefined, 60_000)
    const { code, message } = handle.connection!.lastError as MillraceError
    t.is(code, 'ERR_MILLRACE_UNREACHABLE')
    t.regex(
      message,
      tls === undefined
        ? /certificate|with TLS/
        : /give the certificate of (?:its|their) authority/,
    )
    handle.close()
  }
}

export type CommonDrill = (t: ExecutionContext, engine: DrilledEngine) => Promise<void>
/** Undefined: each engine has its own. Null: the pattern has nothing that it could happen to. */
export type Drills = Readonly<Record<DrillName, CommonDrill | undefined | null>>
