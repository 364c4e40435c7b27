// Carries frames, at most once, in order: from a channel of this machine's memory to another host, or from there to a channel here. Which way
// it goes, and over what, the two addresses say.

import { invalidArgument } from '../../errors.js'
import { readReconnect } from '../../net/backoff.js'
import { parseAddress } from '../../place/address.js'
import { addressElsewhere } from '../../place/elsewhere.js'
import type { Topics } from '../../topics/topics.js'
import type { FramesRoute } from '../config.js'
import { willPublish } from '../connection.js'
import { isEngine, listens, subjectOf } from '../judge-frames.js'
import { shown, type JudgedRoute } from '../judge.js'
import type { Carrier, Counts } from '../route.js'
import { BusIn } from './bus-in.js'
import { BusOut } from './bus-out.js'
import { LinkFrom } from './link-from.js'
import { LinkIn } from './link-in.js'
import { LinkOffer } from './link-offer.js'
import { LinkOut } from './link-out.js'
import { FrameSource } from './source.js'
import { FrameTarget } from './target.js'

const usualInFlight = 16
const usualPart = { bus: 262_144, link: 1_048_576 } as const

/** @throws MillraceError as `FrameWriter.create` and `Topics.open` */
export function openFramesRoute({ config, host }: JudgedRoute, counts: Counts): Carrier {
  const route = config as FramesRoute
  const to = addressElsewhere(route.to)
  if (to !== undefined) return openOut(route, to, host, counts)
  return openIn(route, addressElsewhere(route.from)!, host, counts)
}

function openOut(route: FramesRoute, address: string, host: string, counts: Counts): Carrier {
  const open = (): FrameSource => new FrameSource(route.from, route.fromChannel, counts)
  const connection = route.toConnection
  const { inFlight = usualInFlight } = route
  if (isEngine(address)) {
    const bus = openBus(address, connection)
    willPublish(bus)
    const { partBytes = usualPart.bus } = route
    const options = { host, address: shown(address), subject: subjectOf(route) }
    return new BusOut(open(), bus, { ...options, partBytes, inFlight }, counts)
  }
  const { partBytes = usualPart.link } = route
  const options = { host, address, partBytes, inFlight }
  if (listens(route)) {
    const { reconnect: _reconnect, ...its } = connection ?? {}
    judgeLink(address, 'listen', its)
    return new LinkOffer(open, options, its, counts)
  }
  judgeLink(address, 'connect', connection)
  const backoff = readReconnect(connection?.reconnect)
  return new LinkOut(open(), { ...options, connection }, backoff, counts)
}

function openIn(route: FramesRoute, address: string, host: string, counts: Counts): Carrier {
  const connection = route.fromConnection
  const { reconnect: _reconnect, ...options } = connection ?? {}
  const isLink = !isEngine(address)
  const how = listens(route) ? 'listen' : 'connect'
  if (isLink) judgeLink(address, how, options)
  const target = new FrameTarget(route.to, route.toChannel!, host, counts)
  try {
    if (isLink && how === 'listen') return new LinkIn(address, options, target)
    if (isLink) {
      return new LinkFrom({ address, connection }, target, readReconnect(connection?.reconnect))
    }
    const bus = openBus(address, connection)
    const its = { host, address: shown(address), subject: subjectOf(route) }
    const { partBytes = usualPart.bus, inFlight = usualInFlight } = route
    return new BusIn(bus, target, { ...its, partBytes, inFlight }, counts)
  } catch (error) {
    target.close()
    throw error
  }
}

function openBus(address: string, connection: FramesRoute['toConnection']): Topics {
  const { Topics } = require('../../topics/topics.js') as typeof import('../../topics/topics.js')
  return Topics.open(address, { connection })
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function judgeLink(
  address: string,
  how: 'connect' | 'listen',
  options: FramesRoute['toConnection'],
): void {
  const { judgeWay } = require('../../net/judged.js') as typeof import('../../net/judged.js')
  const { reconnect: _reconnect, ...rest } = options ?? {}
  const { directions, ordered, reliable } = judgeWay(parseAddress(address), how, rest).traits
  if (directions === 'both' && ordered && reliable) return
  const what = directions === 'both' ? 'does not keep what goes over it in order' : 'goes one way'
  throw invalidArgument(
    `'${shown(address)}' ${what}, and a route of frames needs both ways, in order: take unix://, tcp:// or tls://`,
  )
}
