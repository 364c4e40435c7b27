// Which addresses are the same place, however they are written: by that a route in a circle is known before anything is done.
//
//   nats://me:secret@LOCALHOST/jobs, nats://127.0.0.1:4222/jobs, nats://[::1]/jobs/   are   nats://here:4222/jobs
//   amqps://a,b/jobs?vhost=%2Fx   is   amqp://a:5671/jobs?/x   and   amqp://b:5671/jobs?/x
//   jobs   is   shm://jobs
//
// Who comes there, and whether what goes there is encrypted, does not matter. Of a name nobody asks what machine it is.

import { parseAddress } from '../place/address.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { nameOf, placeOf } from '../place/place.js'

/** Where no port is written. */
const usualPorts: Readonly<Record<string, number>> = {
  amqp: 5672,
  amqps: 5671,
  kafka: 9092,
  nats: 4222,
  redis: 6379,
  rediss: 6379,
}
/** What an encrypted scheme is without that. */
const plainly: Readonly<Record<string, string>> = {
  amqps: 'amqp',
  grpcs: 'grpc',
  rediss: 'redis',
  tls: 'tcp',
}
/** What stands behind the question mark and says where, and what it is if it is not there. */
const parted: Readonly<Record<string, readonly [key: string, usual: string]>> = {
  amqp: ['vhost', '/'],
  redis: ['db', '0'],
  'zmq+ipc': ['name', ''],
}
const ofPaths = new Set(['unix', 'pipe', 'file', 'fd', 'grpc+unix', 'zmq+ipc'])
/** This machine, or all of its addresses, as `URL` writes them. */
const here = new Set([
  'localhost',
  '127.0.0.1',
  '0.0.0.0',
  '[::1]',
  '[::]',
  '[::ffff:7f00:1]',
  '[::ffff:0:0]',
])

/** Of the same place one of them is the same: where an address names several hosts, there is one for each. */
export function placeKeys(place: string): readonly string[] {
  const there = addressElsewhere(place)
  if (there === undefined) return [`shm://${nameOf(placeOf(place))}`]
  const { scheme: written, rest, query } = parseAddress(there)
  const scheme = plainly[written] ?? written
  const [key, usual] = parted[scheme] ?? []
  const part = key === undefined ? '' : `?${query.get(key) ?? usual ?? ''}`
  if (ofPaths.has(scheme)) return [`${scheme}://${pathOf(rest)}${part}`]
  const at = rest.indexOf('/')
  const authority = at < 0 ? rest : rest.slice(0, at)
  const name = at < 0 ? '' : rest.slice(at).replace(/\/+$/, '')
  return authority
    .slice(authority.lastIndexOf('@') + 1)
    .split(',')
    .map((host) => `${scheme}://${hostOf(host, usualPorts[written])}${name}${part}`)
}

export function isSamePlace(one: string, other: string): boolean {
  const keys = placeKeys(other)
  return placeKeys(one).some((key) => keys.includes(key))
}

function pathOf(text: string): string {
  const path = process.getBuiltinModule('node:path').posix.normalize(text)
  return path.length > 1 ? path.replace(/\/$/, '') : path
}

function hostOf(text: string, usualPort: number | undefined): string {
  const found = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(text)
  const name = (found?.[1] ?? text).toLowerCase().replace(/\.$/, '')
  const host = written(name)
  const port = found?.[2] === undefined ? usualPort : Number(found[2])
  return `${here.has(host) ? 'here' : host}${port === undefined ? '' : `:${String(port)}`}`
}

/** Numbers as everybody writes them. */
function written(host: string): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host
}
