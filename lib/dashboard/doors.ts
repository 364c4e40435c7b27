// Who is let in: who has the token, calls this machine by a name of its own, and is no page of somebody else's.

import type { IncomingMessage } from 'node:http'

import { isLoopback } from '../net/address.js'
import type { HttpPlace } from '../telemetry/http-place.js'
import { hostOf } from '../telemetry/http-server.js'

/** What every answer says: a page that shows itself and nothing else, to nobody else, and runs no code but its own file. */
export const headers: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
}

export interface Doors {
  readonly token: string
  /** Is it called by a name that no page of the web can lead here? */
  isCalledRight(request: IncomingMessage): boolean
  /** Does it bring the token: as a header, or, to be told something, in its address? */
  hasToken(request: IncomingMessage, query: URLSearchParams): boolean
  /** Of what changes something: does it come from our own page? */
  isOwnPage(request: IncomingMessage): boolean
}

export function openDoors(place: HttpPlace): Doors {
  const { createHash, randomBytes, timingSafeEqual } = process.getBuiltinModule('node:crypto')
  const { isIP } = process.getBuiltinModule('node:net')
  const { hostname } = process.getBuiltinModule('node:os')
  const token = randomBytes(32).toString('base64url')
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const wanted = digest(token)
  // In the same time, however much of it is right, and however long it is.
  const isToken = (given: string): boolean => timingSafeEqual(digest(given), wanted)
  return {
    token,
    isCalledRight({ headers: { host } }) {
      if (host === undefined) return false
      const name = hostOf(host).toLowerCase()
      if (isLoopback(name)) return true
      // Names of the web are led wherever their owners want; numbers are not.
      if (isLoopback(place.host)) return false
      return isIP(name) !== 0 || [place.host, hostname()].some((own) => own.toLowerCase() === name)
    },
    hasToken({ method, headers: { authorization } }, query) {
      const [, given] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? []
      if (given !== undefined) return isToken(given)
      return method !== 'POST' && isToken(query.get('token') ?? '')
    },
    isOwnPage({ headers: { host, origin, 'sec-fetch-site': site } }) {
      return origin === `http://${String(host)}` && (site === undefined || site === 'same-origin')
    },
  }
}
