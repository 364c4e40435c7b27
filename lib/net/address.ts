// What stands behind the scheme of an address, for sockets.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { Address } from '../place/address.js'
import type { GivenConnect, GivenListen } from './options.js'

/** A host and a port. */
export interface HostAndPort {
  /** A name, an address of version 4, or one of version 6 without its brackets. */
  readonly host: string
  readonly port: number
}

/**
 * Of `host:port`, `1.2.3.4:port` or `[::1]:port`.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function hostAndPort({ text, rest }: Address): HostAndPort {
  const found = /^(?:\[([0-9a-f:.%a-z]+)\]|([^:[\]/]+)):(\d{1,5})\/?$/i.exec(rest)
  const host = found?.[1] ?? found?.[2]
  const port = Number(found?.[3])
  if (host === undefined || !(port <= 65_535)) {
    throw invalidArgument(
      `the address ${show(text)} must name a host and a port up to 65535, as in 'tcp://127.0.0.1:7000' or 'tcp://[::1]:7000'`,
    )
  }
  return { host, port }
}

/**
 * As `hostAndPort`; who connects has to say which port.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function checkHostAndPort(address: Address, given: GivenConnect | GivenListen): HostAndPort {
  const found = hostAndPort(address)
  if (found.port !== 0 || 'maxPending' in given) return found
  throw invalidArgument(
    `the address ${show(address.text)} has port 0, which is any port for who listens and none to connect to: take listener.address`,
  )
}

/** Can only processes of this machine be there? Of a name nobody knows before it was looked up, but for `localhost`. */
export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, '')
  return plain === 'localhost' || plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain)
}

/**
 * The path of a socket: `unix:///run/app/sock`; or `\0name` of `unix://@name`, which only Linux has.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function socketPath({ text, rest }: Address): string {
  const path = rest.startsWith('@') ? `\0${rest.slice(1)}` : rest
  if (path === '\0' || path === '') {
    throw invalidArgument(
      `the address ${show(text)} must name a path, as in 'unix:///run/app/sock'`,
    )
  }
  if (path.startsWith('\0')) {
    if (process.platform === 'linux') return checkLength(path, text)
    throw invalidArgument(
      `the address ${show(text)} names an abstract socket, which only Linux has: take a path, as in 'unix:///tmp/app.sock'`,
    )
  }
  if (path.startsWith('/')) return checkLength(path, text)
  throw invalidArgument(
    `the address ${show(text)} must have an absolute path, with three slashes, as in 'unix:///${path}': what a relative one means ` +
      'depends on who reads it',
  )
}

/**
 * The absolute path of `pipe:///run/app/pipe` or `file:///var/lib/app/log`.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function filePath({ text, scheme, rest }: Address): string {
  if (/^\/.*[^/]$/s.test(rest)) return rest
  throw invalidArgument(
    `the address ${show(text)} must name an absolute path, with three slashes, as in '${scheme}:///run/app/it': what a relative one ` +
      'means depends on who reads it',
  )
}

/** What the system has room for, with the byte that ends it; libuv cuts longer ones off without a word. */
const mostPath = process.platform === 'linux' ? 107 : 103

function checkLength(path: string, text: string): string {
  const { length } = Buffer.from(path)
  if (length <= mostPath) return path
  throw invalidArgument(
    `the path of ${show(text)} has ${String(length)} bytes, and the system takes ${String(mostPath)} for a socket: take a shorter one`,
  )
}
