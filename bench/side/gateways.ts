// Gateways that a measurement starts, each in a process of its own.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { RouteConfig } from 'millrace/gateway'

/** Resolves when what is in memory is open; connections are made from then on. */
export async function gatewayStarted(
  host: string,
  routes: RouteConfig | readonly RouteConfig[],
): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('gateway.js', import.meta.url)), [
    JSON.stringify({ host, routes: [routes].flat() }),
  ])
  await once(child, 'message')
  return child
}

export async function gatewayEnded(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}
