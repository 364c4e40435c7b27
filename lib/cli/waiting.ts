// What a command says while it waits for somebody at an address, so that nobody takes it for one that hangs.

import type { ConnectionStatus } from '../net.js'
import { errorFacts, tell } from './telling.js'

const silentMs = 1000

/** Says it once, unless what is awaited comes soon. */
export async function patiently<T>(awaited: Promise<T>, said: () => string): Promise<T> {
  const timer = setTimeout(() => {
    tell('info', { event: 'waiting' }, said())
  }, silentMs)
  try {
    return await awaited
  } finally {
    clearTimeout(timer)
  }
}

/** Says, once for each time that the connection is not there for a while, that the command waits for it. Of memory there is none. */
export function tellWaiting(connection: ConnectionStatus | undefined): void {
  if (connection === undefined) return
  let timer: NodeJS.Timeout | undefined
  const begin = (): void => {
    timer = setTimeout(() => {
      const { address, lastError } = connection
      const why = lastError === undefined ? '' : ` (${lastError.message})`
      const error = lastError === undefined ? {} : { error: errorFacts(lastError) }
      tell(
        'warn',
        { event: 'waiting', channel: address, ...error },
        `waiting for a connection to '${address}'${why}`,
      )
    }, silentMs).unref()
  }
  const end = (): void => {
    clearTimeout(timer)
  }
  if (connection.state !== 'connected') begin()
  connection.on('lost', begin).on('connected', end).on('closed', end)
}
