// Both addresses of a route, judged without anything being opened: the name, the transport, or the engine.

import { engineOf, engineSchemes } from '../../engines/known.js'
import type { EngineQueueOptions } from '../../engines/port.js'
import { invalidArgument } from '../../errors.js'
import { parseAddress, schemeOf } from '../../place/address.js'
import { addressElsewhere } from '../../place/elsewhere.js'
import type { ConnectionOptions } from '../../net/options.js'
import type { WorkQueueOptions } from '../../work/options.js'
import type { RouteConfig } from '../config.js'
import { assertCertificate } from '../listening.js'

const name = /^(?!\.)[A-Za-z0-9._-]{1,240}$/

/** What is at the address. */
export interface Side {
  readonly address: string
  readonly connection: ConnectionOptions | undefined
  /** It is listened there, and not connected to. */
  readonly serves: boolean
  /** What the queue there is to have. */
  readonly queue: Omit<WorkQueueOptions, 'connection'> | undefined
}

/** @throws MillraceError `INVALID_ARGUMENT`, `UNSUPPORTED`, `MISSING_PEER` */
export function judgeAddress(kind: RouteConfig['kind'], side: Side): void {
  const { address, connection } = side
  const elsewhere = addressElsewhere(address)
  if (elsewhere === undefined) {
    judgeName(schemeOf(address) === undefined ? address : address.slice('shm://'.length))
    if (connection === undefined) return
    throw invalidArgument(
      `'${address}' is of this machine's memory, to which there is no connection: take its options away`,
    )
  }
  const parsed = parseAddress(elsewhere)
  const { judgeWay, readConnect } =
    require('../../net/judged.js') as typeof import('../../net/judged.js')
  if (side.serves) assertCertificate(address, connection)
  const engine = engineOf(parsed.scheme)
  if (engine !== undefined) {
    const place = engine.at(parsed, readConnect(connection))
    if (kind === 'topics' || kind === 'frames') place.topics()
    else if (kind === 'calls') place.calls()
    else place.work(wanted(side.queue))
    return
  }
  const { traits } = judgeWay(parsed, side.serves ? 'listen' : 'connect', connection, engineSchemes)
  if (traits.directions === 'both') return
  throw invalidArgument(
    `'${address}' goes one way, and a ${kind} route needs both: take unix://, tcp:// or tls://`,
  )
}

function wanted(queue: Side['queue']): EngineQueueOptions {
  return {
    jobs: queue?.jobs,
    bytes: queue?.bytes,
    attempts: queue?.maxAttempts,
    dead: queue?.deadLetters?.jobs,
    deadBytes: queue?.deadLetters?.bytes,
    windowMs: queue?.dedupWindow,
    leaseMs: queue?.leaseTimeout,
    durability: queue?.durability,
  }
}

function judgeName(text: string): void {
  if (name.test(text)) return
  throw invalidArgument(
    `'${text}' is neither a name (1 to 240 of A-Z a-z 0-9 . _ -, no dot first) nor an address like 'tcp://127.0.0.1:7000'`,
  )
}
