// What the entry points of the patterns load when an address is not this machine's memory.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { parseAddress } from '../place/address.js'
import { durabilities } from '../addon/work.js'
import { engineOf, engineSchemes } from '../engines/known.js'
import type { EngineLine, EnginePlace } from '../engines/port.js'
import { readReconnect, type Backoff } from '../net/backoff.js'
import type { Channel } from '../net/channel.js'
import type { RemoteOptions, Share, ShareOptions } from '../net/share.js'
import type { WorkParts, WorkWanted } from '../work/elsewhere.js'
import type { WorkQueue } from '../work/work-queue.js'
import type { Contract } from '../rpc/contract.js'
import type { AskedElsewhere, ConnectedElsewhere, ServedElsewhere } from '../rpc/elsewhere.js'
import type { ServedMethod } from '../rpc/streams/server.js'
import { connectCalls as connectThere } from './rpc/client.js'
import { connectEngine, describeEngine } from './rpc/engine.js'
import { serveCalls as serveThere } from './rpc/server.js'
import { dial, dialToAsk } from './dial.js'
import { unheld } from './liveness.js'
import { share } from './sharing.js'
import type { GroupParts, TopicsWanted } from '../topics/elsewhere.js'
import type { Topics } from '../topics/topics.js'
import { RemoteTopics } from './topics/bus.js'
import { topicsContract } from './topics/contract.js'
import { engineTopicsLine } from './topics/engine.js'
import { engineGroupLine } from './topics/engine-group.js'
import { groupContract } from './topics/group-contract.js'
import { GroupMembers } from './topics/group-members.js'
import { groupLine, topicsLine } from './topics/line.js'
import { serveTopics } from './topics/serve.js'
import { uncounted } from './unsupported.js'
import { workContract } from './work/contract.js'
import { engineWorkLine } from './work/engine.js'
import { workLine } from './work/line.js'
import { RemoteWorkQueue } from './work/queue.js'
import { serveWork } from './work/serve.js'

/** @throws MillraceError `INVALID_ARGUMENT`, `UNSUPPORTED` */
export function openWork(
  address: string,
  wanted: WorkWanted,
  connection: RemoteOptions | undefined,
  parts: WorkParts,
): RemoteWorkQueue {
  if (wanted.stats === true) throw uncounted(`work queue '${address}'`)
  const backoff = readReconnect(connection?.reconnect)
  const engine = engineAt(address, connection)
  if (engine !== undefined) return openEngineWork(engine, wanted, backoff, parts)
  judge(address, connection)
  return new RemoteWorkQueue({
    address,
    title: `work queue '${address}'`,
    backoff,
    parts,
    wanted,
    dial: async (signal) => {
      const { fingerprint } = workContract
      const { frames, channel } = await dial(address, connection ?? {}, 'work', fingerprint, signal)
      return { line: workLine(unheld(frames)), death: deathOf(channel), hold: holdOf(channel) }
    },
  })
}

/** @throws MillraceError `INVALID_ARGUMENT`, `UNSUPPORTED` */
function openEngineWork(
  place: EnginePlace,
  wanted: WorkWanted,
  backoff: Backoff | undefined,
  parts: WorkParts,
): RemoteWorkQueue {
  const { shown, traits } = place
  const { durability, ...rest } = wanted
  const dial = place.work({
    ...rest,
    durability: durability === undefined ? undefined : durabilities[durability],
  })
  return new RemoteWorkQueue({
    address: shown,
    title: `work queue '${shown}'`,
    backoff,
    parts,
    wanted,
    traits: traits.work,
    dial: async (signal) => {
      const work = await dial(signal)
      return { line: engineWorkLine(work, shown), death: traits.work.death, hold: holdOfLine(work) }
    },
  })
}

/** @throws MillraceError as `listen` */
export function shareWork(
  queue: object,
  address: string,
  options: ShareOptions | undefined,
): Promise<Share> {
  return share(address, options, {
    kind: 'work',
    fingerprint: workContract.fingerprint,
    serve: (frames) => serveWork(frames, queue as WorkQueue),
  })
}

/** @throws MillraceError `INVALID_ARGUMENT`, `UNSUPPORTED` */
export function openTopics(
  address: string,
  wanted: TopicsWanted,
  connection: RemoteOptions | undefined,
  group: () => GroupParts,
): RemoteTopics {
  if (wanted.stats === true) throw uncounted(`bus '${address}'`)
  const backoff = readReconnect(connection?.reconnect)
  const engine = engineAt(address, connection)
  if (engine !== undefined) return openEngineTopics(engine, wanted, backoff, group)
  judge(address, connection)
  const { fingerprint } = topicsContract
  return new RemoteTopics({
    address,
    backoff,
    wanted,
    dial: async (signal) => {
      const { frames, channel } = await dial(
        address,
        connection ?? {},
        'topics',
        fingerprint,
        signal,
      )
      return { line: topicsLine(unheld(frames)), hold: holdOf(channel) }
    },
    group,
    dialGroup: async (signal) => {
      const { fingerprint: print } = groupContract
      const { frames, channel } = await dial(address, connection ?? {}, 'group', print, signal)
      return { line: groupLine(unheld(frames)), death: deathOf(channel), hold: holdOf(channel) }
    },
  })
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function openEngineTopics(
  place: EnginePlace,
  wanted: TopicsWanted,
  backoff: Backoff | undefined,
  group: () => GroupParts,
): RemoteTopics {
  const { shown, traits } = place
  const dial = place.topics()
  return new RemoteTopics({
    address: shown,
    backoff,
    wanted,
    traits: traits.topics,
    groupTraits: { priorities: false, groups: false },
    dial: async (signal) => {
      const topics = await dial(signal)
      return { line: engineTopicsLine(topics, shown), hold: holdOfLine(topics) }
    },
    group,
    dialGroup: async (signal) => {
      const topics = await dial(signal)
      const line = engineGroupLine(topics, shown, group().envelopeOf)
      return { line, death: 'timeout', hold: holdOfLine(topics) }
    },
  })
}

/** @throws MillraceError as `listen` */
export function shareTopics(
  bus: object,
  address: string,
  options: ShareOptions | undefined,
): Promise<Share> {
  const epoch = process.getBuiltinModule('node:crypto').randomUUID()
  const members = new GroupMembers(bus as Topics)
  return share(
    address,
    options,
    {
      kind: 'topics',
      fingerprint: topicsContract.fingerprint,
      serve: (frames) => serveTopics(frames, bus as Topics, epoch),
    },
    {
      kind: 'group',
      fingerprint: groupContract.fingerprint,
      serve: (frames) => members.serve(frames),
      ended: () => {
        members.close()
      },
    },
  )
}

/** @throws MillraceError (as rejection) as `connect` of `millrace/net`, and `SCHEMA` (something else is shared there) */
export function describeCalls(
  address: string,
  { wait, connection }: AskedElsewhere,
): Promise<unknown> {
  const engine = engineAt(address, connection)
  if (engine !== undefined) {
    return describeEngine(engine, wait.timeout ?? Infinity, wait.signal)
  }
  return dialToAsk(address, connection, 'calls', wait)
}

function deathOf({ traits }: Channel): 'exact' | 'timeout' {
  return traits.death === 'exact' ? 'exact' : 'timeout'
}

function holdOf(channel: Channel): (alive: boolean) => void {
  return (alive) => {
    if (alive) channel.ref()
    else channel.unref()
  }
}

function holdOfLine(line: EngineLine): (alive: boolean) => void {
  return (alive) => {
    line.hold(alive)
  }
}

/**
 * What the address stands for, if its scheme is that of an engine.
 *
 * @throws MillraceError `INVALID_ARGUMENT`, `MISSING_PEER`
 */
function engineAt(address: string, connection: RemoteOptions | undefined): EnginePlace | undefined {
  const parsed = parseAddress(address)
  const engine = engineOf(parsed.scheme)
  if (engine === undefined) {
    const { transportOf } = require('../net/transport.js') as typeof import('../net/transport.js')
    // Now, where all schemes that there are can be named.
    transportOf(parsed, engineSchemes)
    return undefined
  }
  const { readConnect } = require('../net/options.js') as typeof import('../net/options.js')
  const { reconnect: _reconnect, ...options } = connection ?? {}
  return engine.at(parsed, readConnect(options))
}

/** Now, and not when the first connection is made. */
function judge(address: string, connection: RemoteOptions | undefined): void {
  const { transportOf } = require('../net/transport.js') as typeof import('../net/transport.js')
  const { readConnect } = require('../net/options.js') as typeof import('../net/options.js')
  const { reconnect: _reconnect, ...options } = connection ?? {}
  const parsed = parseAddress(address)
  const transport = transportOf(parsed)
  transport.check(parsed, readConnect(options))
  if (transport.traits.directions === 'both') return
  throw invalidArgument(
    `${show(address)} goes one way, and this needs both: take unix://, tcp:// or tls://`,
  )
}

/** @throws MillraceError (as rejection) `NO_RESPONDER`, `SCHEMA`, `UNSUPPORTED`, and what connecting throws for good */
export async function connectCalls(
  address: string,
  contract: Contract,
  given: ConnectedElsewhere,
): Promise<object> {
  if (given.native?.stats === true) throw uncounted(`calls at '${address}'`)
  const engine = engineAt(address, given.connection)
  if (engine !== undefined) return await connectEngine(engine, contract, given)
  return await connectThere(address, contract, given)
}

/** @throws MillraceError (as rejection) as `listen`; at an engine as connecting to it, and `UNSUPPORTED` */
export async function serveCalls(
  address: string,
  contract: Contract,
  methods: readonly ServedMethod[],
  given: ServedElsewhere,
): Promise<object> {
  if (given.native?.stats === true) throw uncounted(`calls at '${address}'`)
  const engine = engineAt(address, given.connection)
  return await serveThere(address, contract, methods, given, engine)
}
