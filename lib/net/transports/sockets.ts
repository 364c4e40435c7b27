// What the transports over sockets of Node have in common.

import type { Server, Socket } from 'node:net'

import type { Arrivals, Listening } from '../transport.js'

/** @internal */
export const net = (): typeof import('node:net') => process.getBuiltinModule('node:net')

/** Resolves when it is connected (`event`); ends with `signal`. */
export function connected<S extends Socket>(
  socket: S,
  signal: AbortSignal,
  event = 'connect',
): Promise<S> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy()
      over()
      reject(signal.reason as Error)
    }
    const onError = (error: Error): void => {
      over()
      reject(error)
    }
    const onConnect = (): void => {
      over()
      resolve(socket)
    }
    const onClose = (): void => {
      onError(new Error('the connection was closed before it stood'))
    }
    const over = (): void => {
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
      socket.removeListener(event, onConnect)
      socket.removeListener('close', onClose)
      // Whatever comes later is the channel's, which listens from now on.
      socket.on('error', () => undefined)
    }
    if (signal.aborted) {
      socket.on('error', () => undefined)
      socket.destroy()
      reject(signal.reason as Error)
      return
    }
    signal.addEventListener('abort', onAbort)
    socket.once('error', onError)
    socket.once(event, onConnect)
    socket.once('close', onClose)
  })
}

/** Resolves when the server listens. */
export async function listening(
  server: Server,
  arrivals: Arrivals,
  begin: () => void,
  address: () => string,
  ended?: () => void,
): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.removeListener('error', reject)
      resolve()
    })
    begin()
  })
  // accept() can fail for want of descriptors; the server goes on with the next one.
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EMFILE' || error.code === 'ENFILE') arrivals.turnedAway('resources')
    else arrivals.failed(error)
  })
  return {
    address: address(),
    close: () =>
      new Promise((resolve) => {
        ended?.()
        // What was accepted goes on: the server is closed when it takes no more, not when they have ended.
        server.close()
        resolve()
      }),
    hold: (alive) => {
      if (alive) server.ref()
      else server.unref()
    },
  }
}
