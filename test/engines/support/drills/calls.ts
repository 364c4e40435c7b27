// The drills of calls. Who serves is a process of its own; where an engine has no server beside the programs, that process is the server.

import type { ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import type { CurveOptions } from 'millrace/net'
import { connect, type ConnectOptions, type Connected } from 'millrace/rpc'

import { run, type Run } from '../../../support/process.js'
import { until } from '../../../support/until.js'
import { calc } from './calc.js'
import {
  awayFor,
  passwords,
  patience,
  reconnect,
  slowMs,
  slowServer,
  type CommonDrill,
  type Drills,
  type DrillServer,
} from './engine.js'

type Client = Connected<typeof calc>

export interface ServeSetup {
  readonly maxBytes?: number
  readonly curve?: CurveOptions
  /** Files. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A process that serves at an address. */
export async function servingProcess(
  t: ExecutionContext,
  address: string,
  setup: ServeSetup = {},
): Promise<Run> {
  const fixture = new URL('../../fixtures/serves.js', import.meta.url)
  const serving = run(t, fixture, [address, JSON.stringify(setup)])
  await serving.printed('serves', 60_000)
  return serving
}

/** The server of a drill that is such a process. */
export class ServingServer implements DrillServer {
  readonly port: number
  readonly #t: ExecutionContext
  readonly #address: string
  readonly #setup: ServeSetup
  #running: Run | undefined

  constructor(t: ExecutionContext, port: number, address: string, setup: ServeSetup) {
    this.#t = t
    this.port = port
    this.#address = address
    this.#setup = setup
  }

  address(): string {
    return this.#address
  }

  get running(): Run {
    return this.#running!
  }

  async start(): Promise<void> {
    this.#running = await servingProcess(this.#t, this.#address, this.#setup)
  }

  async end(): Promise<void> {
    await this.#running?.kill()
  }

  forget(): void {
    // It has kept nothing.
  }

  pause(): void {
    this.#running?.signal('SIGSTOP')
  }

  resume(): void {
    this.#running?.signal('SIGCONT')
  }
}

export async function openClient(
  t: ExecutionContext,
  address: string,
  { connection, ...options }: ConnectOptions = {},
): Promise<Client> {
  const client = await connect(address, calc, {
    ...options,
    connection: { reconnect, ...connection },
  })
  t.teardown(() => {
    client.close()
  })
  return client
}

/** Who serves there, beside the server or as it. */
async function serving(t: ExecutionContext, server: DrillServer, address: string): Promise<Run> {
  if (server instanceof ServingServer) return server.running
  return await servingProcess(t, address)
}

/** Until somebody serves again: a call that may be made again is answered. */
async function answered(client: Client): Promise<void> {
  await until(async () => {
    const sum = await client.add([1, 2], { timeout: 5000 }).catch(() => undefined)
    return sum === 3
  }, 60_000)
}

const failure = (error: unknown): MillraceError => error as MillraceError

const away: CommonDrill = async (t, engine) => {
  const server = await engine.server(t, {})
  const address = server.address(engine.newName())
  const who = await serving(t, server, address)
  const { heartbeat } = engine.calls!
  const client = await openClient(t, address, { connection: { heartbeat } })
  await answered(client)
  const cut = client.wait('cut').catch(failure)
  await who.printed('begun cut')
  await server.end()
  const error = await cut
  t.deepEqual(
    [(error as MillraceError).code, (error as MillraceError).executed],
    ['ERR_MILLRACE_PEER_GONE', 'unknown'],
  )
  // Nobody waits for long where nobody is, and what was sent to nobody was not begun.
  await until(async () => {
    const nobody = await client.echo('nobody').catch(failure)
    return (nobody as MillraceError).code === 'ERR_MILLRACE_NO_RESPONDER'
  }, 60_000)
  const nobody = (await client.echo('nobody').catch(failure)) as MillraceError
  t.deepEqual([nobody.code, nobody.executed], ['ERR_MILLRACE_NO_RESPONDER', 'no'])
  if (!engine.calls!.holds) await awayFor(client)
  await server.start()
  await answered(client)
  t.is(await client.echo('again', patience), 'again')
  t.deepEqual(who.lines.filter((line) => line === 'begun cut').length, 1)
}

export const callDrills = {
  absent: async (t, engine) => {
    const server = await engine.server(t, { started: false })
    const address = server.address(engine.newName())
    const client = await openClient(t, address)
    const nobody = (await client.add([1, 2]).catch(failure)) as MillraceError
    t.deepEqual([nobody.code, nobody.executed], ['ERR_MILLRACE_NO_RESPONDER', 'no'])
    const waiting = client.add([2, 3], patience).catch(failure)
    if (!engine.calls!.holds) await awayFor(client)
    await server.start()
    await serving(t, server, address)
    const sum = await waiting
    // Where somebody else takes calls before anybody serves, or nobody comes for a second, that is said.
    if (server instanceof ServingServer && engine.calls!.holds !== true) t.is(sum, 5)
    else t.true(sum === 5 || (sum as MillraceError).executed === 'no', String(sum))
    await answered(client)
  },

  away,
  empty: null,

  slow: async (t, engine) => {
    const name = engine.newName()
    const { server, proxy, address } = await slowServer(t, engine, name)
    await serving(t, server, server.address(name))
    const client = await openClient(t, address)
    await answered(client)
    proxy.delay = slowMs
    const from = performance.now()
    t.is(await client.echo('slow', patience), 'slow')
    t.true(performance.now() - from >= 2 * slowMs - 10)
    const late = (await client.echo('late', { timeout: 100 }).catch(failure)) as MillraceError
    t.is(late.code, 'ERR_MILLRACE_TIMEOUT')
    t.is(await client.echo('later', patience), 'later')
    t.is(client.connection!.made, 1)
  },

  still: async (t, engine) => {
    const { heartbeat } = engine.calls!
    const server = await engine.server(t, {})
    const address = server.address(engine.newName())
    const who = await serving(t, server, address)
    const client = await openClient(t, address, { connection: { heartbeat } })
    await answered(client)
    const cut = client.wait('cut').catch(failure)
    await who.printed('begun cut')
    t.teardown(() => {
      server.resume()
    })
    server.pause()
    const error = (await cut) as MillraceError
    t.deepEqual([error.code, error.executed], ['ERR_MILLRACE_PEER_GONE', 'unknown'])
    server.resume()
    await answered(client)
    t.deepEqual(who.lines.filter((line) => line === 'begun cut').length, 1)
  },

  /** More calls than may wait are refused, and were not begun. */
  full: async (t, engine) => {
    const server = await engine.server(t, {})
    const address = server.address(engine.newName())
    const who = await serving(t, server, address)
    const client = await openClient(t, address)
    const control = new AbortController()
    const { signal } = control
    const calls = Array.from({ length: 1100 }, (_, n) =>
      client.wait(String(n), { signal }).catch(failure),
    )
    const refused = (await Promise.race(calls)) as MillraceError
    t.deepEqual([refused.code, refused.executed], ['ERR_MILLRACE_BUSY', 'no'])
    control.abort()
    await Promise.all(calls)
    // Handlers that go on, though nobody waits for them, have their places until they end.
    t.true(who.lines.filter((line) => line.startsWith('begun')).length <= 4)
  },

  password: async (t, engine) => {
    const server = await engine.server(t, { password: true })
    const { right } = engine.secrets!
    const name = engine.newName()
    await servingProcess(t, server.address(name, right))
    const open = (address: string): Promise<Client> => openClient(t, address)
    const use = (client: Client): Promise<number> => client.add([1, 2], patience)
    await passwords(t, engine, server, name, open, use)
  },

  certificate: undefined,

  /** What nobody serves is told at once, where others are served. */
  unknown: async (t, engine) => {
    const server = await engine.server(t, {})
    const name = engine.newName()
    const address = server.address(name)
    await serving(t, server, address)
    const client = await openClient(t, address.replace(name, `${name}-other`))
    const nobody = (await client.add([1, 2]).catch(failure)) as MillraceError
    t.deepEqual([nobody.code, nobody.executed], ['ERR_MILLRACE_NO_RESPONDER', 'no'])
    t.is(await (await openClient(t, address)).add([1, 2], patience), 3)
  },

  large: async (t, engine) => {
    const { most } = engine.calls!
    const server = await engine.server(t, { small: true })
    const address = server.address(engine.newName())
    await serving(t, server, address)
    const client = await openClient(t, address)
    await t.throwsAsync(client.echo('x'.repeat(2 * most), patience), {
      code: 'ERR_MILLRACE_TOO_LARGE',
    })
    t.is((await client.echo('x'.repeat(most), patience)).length, most)
    t.is(client.connection!.made, 1)
  },

  /** A call that fails harms no other; and one that kills whoever serves it is not made again. */
  poison: async (t, engine) => {
    const server = await engine.server(t, {})
    const address = server.address(engine.newName())
    const who = await serving(t, server, address)
    const { heartbeat } = engine.calls!
    const client = await openClient(t, address, { connection: { heartbeat } })
    const failed = await t.throwsAsync(client.fail('it cannot be done', patience), {
      instanceOf: RangeError,
    })
    t.is(failed.message, 'it cannot be done')
    t.is(await client.echo('good', patience), 'good')
    const died = (await client.die('deadly', patience).catch(failure)) as MillraceError
    t.deepEqual([died.code, died.executed], ['ERR_MILLRACE_PEER_GONE', 'unknown'])
    if (server instanceof ServingServer) await server.start()
    const next = await serving(t, server, address)
    await answered(client)
    t.deepEqual(who.lines, ['serves', 'begun deadly'])
    t.deepEqual(next.lines, ['serves'])
  },

  rebalance: null,
} as const satisfies Drills
