// Addresses: a scheme, two slashes, and what the transport of that scheme makes of the rest. They are parsed by hand: `URL` refuses
// lists of hosts, changes the case of names, and takes `unix://relative` for a host.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** An address, taken apart. */
export interface Address {
  /** As it was given. */
  readonly text: string
  /** In lower case, without `://`. */
  readonly scheme: string
  /** What stands behind the slashes, up to the question mark. */
  readonly rest: string
  /** What stands behind the question mark. */
  readonly query: ReadonlyMap<string, string>
}

const shape = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is

/** The scheme of an address, in lower case; undefined: it is none. */
export function schemeOf(text: string): string | undefined {
  return shape.exec(text)?.[1]?.toLowerCase()
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function parseAddress(given: unknown): Address {
  if (typeof given !== 'string') {
    throw invalidArgument(
      `the address must be a string like 'tcp://127.0.0.1:7000', not ${show(given)}`,
    )
  }
  const found = shape.exec(given)
  if (found === null) {
    throw invalidArgument(
      `${show(given)} is no address: it must begin with a scheme, as in 'unix:///run/app/sock' or 'tcp://127.0.0.1:7000'`,
    )
  }
  if (given.includes('\0')) throw invalidArgument('an address has no character of code 0')
  const [, scheme, whole] = found as unknown as [string, string, string]
  const at = whole.indexOf('?')
  return {
    text: given,
    scheme: scheme.toLowerCase(),
    rest: at < 0 ? whole : whole.slice(0, at),
    query: new Map(at < 0 ? [] : new URLSearchParams(whole.slice(at + 1))),
  }
}

/** Tells where a name is; `undefined`: nothing is said. */
export type Resolver = (name: string) => string | undefined

/** Where names are: a function, or an object by names. */
export type Resolve = Resolver | Readonly<Record<string, string>>
