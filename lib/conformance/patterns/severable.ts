// Connections that can be cut: a transport as it is, but that whoever judges it has hold of what it has made. Its addresses are those of
// the transport behind `conformance+`; so memory can be reached by a connection as well, which `shm://NAME` is not for the patterns.

import { parseAddress, type Address } from '../../place/address.js'
import type { Arrivals, Connection, Transport } from '../../net/transport.js'

const prefix = 'conformance+'

/** What lies between those who connect and one who listens. */
export class Ways {
  /** Nobody gets there. */
  refuses = false
  readonly #cuts: (() => void)[] = []

  /** Ends all that are there: a death to both sides. */
  cut(): void {
    for (const cut of this.#cuts.splice(0)) cut()
  }

  /** That one as well; what a transport makes as a channel of its own is ended at the side of who listens. */
  watch(connection: Connection, side: 'near' | 'far'): Connection {
    if (connection.stream !== undefined) {
      const { stream } = connection
      this.#cuts.push(() => stream.destroy())
      return connection
    }
    if (connection.channel !== undefined) {
      const { channel } = connection
      if (side === 'far') {
        this.#cuts.push(() => {
          channel.destroy()
        })
      }
      return connection
    }
    const { link, peer } = connection
    let cut = (): void => {
      link.destroy()
    }
    this.#cuts.push(() => {
      cut()
    })
    const start: typeof link.start = (events) => {
      cut = () => {
        link.destroy()
        events.closed(new Error('the connection was cut'))
      }
      link.start(events)
    }
    return { link: withStart(link, start), peer }
  }
}

/** By where is listened, as it is told. */
const listening = new Map<string, Ways>()
const known = new Set<string>()

/**
 * The address, as one whose connections can be cut.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function severable(address: string): string {
  const { transportOf, registerTransport } =
    require('../../net/transport.js') as typeof import('../../net/transport.js')
  const parsed = parseAddress(address)
  const { scheme } = parsed
  if (!known.has(scheme)) {
    registerTransport(over(transportOf(parsed)))
    known.add(scheme)
  }
  return `${prefix}${address}`
}

/** What lies before who listens there. */
export const waysTo = (address: string): Ways => listening.get(address)!

const inner = ({ text }: Address): Address => parseAddress(text.slice(prefix.length))

function over(transport: Transport): Transport {
  return {
    scheme: `${prefix}${transport.scheme}`,
    traits: transport.traits,
    heartbeat: transport.heartbeat,
    check: (address, given) => {
      transport.check(inner(address), given)
    },
    connect: async (address, given, signal) => {
      const ways = listening.get(address.text)
      if (ways?.refuses === true) {
        throw Object.assign(new Error('nobody gets there'), { code: 'ECONNREFUSED' })
      }
      const connection = await transport.connect(inner(address), given, signal)
      return ways === undefined ? connection : ways.watch(connection, 'near')
    },
    listen: async (address, given, arrivals) => {
      const ways = new Ways()
      const found = await transport.listen(inner(address), given, watching(arrivals, ways))
      const where = `${prefix}${found.address}`
      listening.set(where, ways)
      return {
        address: where,
        close: async () => {
          listening.delete(where)
          await found.close()
        },
        hold: (alive) => {
          found.hold(alive)
        },
      }
    },
  }
}

function watching(arrivals: Arrivals, ways: Ways): Arrivals {
  return {
    hasRoom: () => arrivals.hasRoom(),
    arrived: (connection) => {
      arrivals.arrived(ways.watch(connection, 'far'))
    },
    turnedAway: (cause) => {
      arrivals.turnedAway(cause)
    },
    failed: (error) => {
      arrivals.failed(error)
    },
  }
}

/** A link as it is, but for how it starts. */
function withStart<L extends object>(link: L, start: unknown): L {
  return new Proxy(link, {
    get: (target, key) => {
      if (key === 'start') return start
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
