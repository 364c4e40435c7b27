// The routes of a configuration: each read by its kind, and judged by what its addresses are.

import { MillraceError } from '../../errors.js'
import { addressElsewhere } from '../../place/elsewhere.js'
import type { CallsRoute, RouteBase, RouteConfig, WorkRoute } from '../config.js'
import { assertContract } from '../judge-calls.js'
import { isListenedAt } from '../listening.js'
import { judgeAddress } from './addresses.js'
import type { Reading, ReadMap } from './reading.js'
import { keysOf, kinds } from './route-keys.js'
import type { YamlNode } from './yaml.js'

const mostRoutes = 256

interface ReadRoute {
  readonly config: RouteConfig
  readonly map: ReadMap
}

export function readRoutes(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  folder: string,
): readonly RouteConfig[] | undefined {
  const list = reading.list(node, what, {
    of: 'routes',
    most: mostRoutes,
    each: (one, name) => readRoute(reading, one, name, folder),
  })
  const routes = list?.values.filter((one) => one !== undefined)
  judgeTwins(reading, routes ?? [])
  return routes?.map(({ config }) => config)
}

function readRoute(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  folder: string,
): ReadRoute | undefined {
  const kind = reading.behind(node, 'kind')
  if (!reading.isMap(node) || !reading.isOne(kind, kinds)) {
    judgeKindless(reading, node, what, kind)
    return undefined
  }
  const word = reading.word(kind ?? null, 'kind', kinds)!
  const map = reading.map(node, `a ${word} route`, keysOf(word, reading, folder))
  if (map === undefined) return undefined
  const config = map.values as unknown as RouteConfig
  judgeSides(reading, config, map)
  return { config, map }
}

/** Without its kind nobody knows what it may have: nothing else is said of it. */
function judgeKindless(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  kind: YamlNode | null | undefined,
): void {
  if (!reading.isMap(node)) {
    reading.findings.add(
      node,
      `${what} must be a route, as in { kind: work, from: jobs, to: nats://127.0.0.1:4222/jobs }`,
    )
  } else if (kind === undefined || kind === null) {
    reading.findings.add(node, `${what} needs 'kind': one of ${kinds.join(', ')}`)
  } else reading.word(kind, 'kind', kinds)
}

/** Both addresses, once they and what is said of their connections could be read. */
function judgeSides(reading: Reading, config: RouteConfig, map: ReadMap): void {
  const { spots, values } = map
  const { kind, from, to } = config as Partial<RouteBase> & Pick<RouteConfig, 'kind'>
  for (const side of ['from', 'to'] as const) {
    const address = side === 'from' ? from : to
    const connection = `${side}Connection` as const
    const isRead = connection in spots === connection in values
    if (address === undefined || !isRead) continue
    const { reconnect: _, ...options } = (config[connection] ?? {}) as Record<string, unknown>
    judgeKeys(reading, map, { address, connection })
    try {
      judgeAddress(kind, {
        address,
        connection: connection in values ? options : undefined,
        serves: isListenedAt(config, side),
        queue: (config as WorkRoute)[`${side}Queue`],
      })
      if (side === 'to' && kind === 'calls') assertContract(config as CallsRoute)
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      reading.findings.add(spots[side] ?? null, `${side}: ${inFile(error.message, connection)}`)
    }
  }
  if (from !== undefined && from === to) {
    reading.findings.add(
      spots['to'] ?? null,
      `to: '${to}' is where the route begins: what it carries would come round for ever`,
    )
  }
}

/** Keys are for ZeroMQ: elsewhere nothing would be encrypted by them. */
function judgeKeys(
  reading: Reading,
  { spots, values }: ReadMap,
  { address, connection }: { readonly address: string; readonly connection: string },
): void {
  const { curve } = (values[connection] ?? {}) as { readonly curve?: unknown }
  const elsewhere = addressElsewhere(address)
  if (curve === undefined || elsewhere === undefined || elsewhere.startsWith('zmq+')) return
  reading.findings.add(
    spots[connection] ?? null,
    `curve is for zmq+tcp:// and zmq+ipc://, and '${address}' would not know of it: take tls, or take curve away`,
  )
}

/** As programs call the options of the connection, so do messages of what is below; a file has them at each side. */
function inFile(message: string, connection: string): string {
  return message.replaceAll(/\bconnection(?=: \{|\.(?:tls|curve)\b)/g, connection)
}

/** Names tell routes apart, and of two routes that are alike one would take from the other. */
function judgeTwins(reading: Reading, routes: readonly ReadRoute[]): void {
  const seen = new Map<string, ReadRoute>()
  for (const route of routes) {
    const { kind, from, to, name } = route.config as Partial<RouteConfig>
    const isWhole = from !== undefined && to !== undefined
    const ways = [
      name === undefined ? undefined : ({ key: `name ${name}`, at: 'name' } as const),
      isWhole ? ({ key: `${String(kind)} ${from}\0${to}`, at: 'from' } as const) : undefined,
    ]
    for (const way of ways) {
      if (way === undefined) continue
      const first = seen.get(way.key)
      if (first === undefined) {
        seen.set(way.key, route)
        continue
      }
      const line = reading.findings.line(first.map.spots[way.at] ?? null)
      const said =
        way.at === 'name'
          ? `the name '${String(name)}' is that of the route in line ${String(line)}, too: take another one`
          : `the route in line ${String(line)} joins the same two addresses already: take one of them away`
      reading.findings.add(route.map.spots[way.at] ?? null, said)
    }
  }
}
