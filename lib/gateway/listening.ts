// Where a gateway listens, and what it needs for that.

import { invalidArgument } from '../errors.js'
import { parseAddress } from '../place/address.js'
import { addressElsewhere } from '../place/elsewhere.js'
import type { RouteConfig } from './config.js'

/** Does it listen at that side, or serve there? At all others it connects. */
export function isListenedAt(config: RouteConfig, side: 'from' | 'to'): boolean {
  if (config.kind === 'frames') return config.listen ?? side === 'from'
  return config.kind === 'calls' && side === 'from'
}

/**
 * Now, and not when it begins to listen.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function assertCertificate(place: string, connection: unknown): void {
  const address = addressElsewhere(place)
  if (address === undefined) return
  const { scheme, rest } = parseAddress(address)
  const { tls } = (connection ?? {}) as { readonly tls?: unknown }
  const isSecure =
    scheme === 'tls' || scheme === 'grpcs' || (scheme === 'grpc' && tls !== undefined)
  if (!isSecure) return
  const { key, pfx, SNICallback } = (tls ?? {}) as Readonly<Record<string, unknown>>
  if ((key ?? pfx ?? SNICallback) !== undefined) return
  throw invalidArgument(
    `the gateway listens at '${scheme}://${rest}', for which it needs a certificate: give connection: { tls: { key, cert } }, as node:tls takes them`,
  )
}
