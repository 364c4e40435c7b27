// Where the streams of a client and a server go: two queues, which the server makes when the client asks for them, by a call that no
// contract has. The client says what they are called: whatever becomes of the server, somebody knows of them.

import { invalidArgument } from '../errors.js'

/** The number of that call: more than a contract may have functions. */
export const openStreams = 0xffff

const suffixBytes = 6

/** A name that nobody else has. */
export function newAddress(name: string): string {
  const { randomBytes } = process.getBuiltinModule('node:crypto')
  return `${name}.${randomBytes(suffixBytes).toString('hex')}`
}

/** What the client sends through, and what the server does. */
export const queuesOf = (address: string): { readonly up: string; readonly down: string } => ({
  up: `${address}.u`,
  down: `${address}.d`,
})

/**
 * What the other side says: an address of streams under that name, and nothing else.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readAddress(name: string, bytes: Uint8Array): string {
  const address = Buffer.from(bytes).toString()
  if (address.startsWith(`${name}.`) && /^[0-9a-f]{12}$/.test(address.slice(name.length + 1))) {
    return address
  }
  throw invalidArgument('the other side has said what is no address of streams')
}
