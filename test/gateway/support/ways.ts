// Addresses between two gateways, and what both say of the connection.

import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { RemoteOptions } from 'millrace/net'

import { selfSigned } from '../../support/certificate.js'
import { ownDirectory } from '../../support/directory.js'

const reconnect = { base: 5, cap: 50 }

export const schemes = ['unix', 'tcp', 'tls'] as const

export const unixAddress = (t: ExecutionContext): string =>
  `unix://${join(ownDirectory(t), 'socket')}`

async function tcpAddress(): Promise<string> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return `tcp://127.0.0.1:${String(port)}`
}

/** An address, and what the gateway that connects and the one that listens say of it. */
export async function wayOf(
  t: ExecutionContext,
  scheme: (typeof schemes)[number],
): Promise<{
  readonly address: string
  readonly connecting: RemoteOptions
  readonly listening: RemoteOptions
}> {
  if (scheme === 'unix') {
    return { address: unixAddress(t), connecting: { reconnect }, listening: {} }
  }
  const address = await tcpAddress()
  if (scheme === 'tcp') return { address, connecting: { reconnect }, listening: {} }
  const { key, cert } = selfSigned()
  return {
    address: address.replace('tcp:', 'tls:'),
    connecting: { reconnect, tls: { ca: cert } },
    listening: { tls: { key, cert } },
  }
}
