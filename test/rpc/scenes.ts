// What other processes do in tests of calls; each is text that travels (support/actor.ts).

import type { ExecutionContext } from 'ava'

import { actor, type Actor } from '../support/actor.js'

/** A server of `calc` in another process. `echo` answers with its process id; of a number below 0, never. */
export async function remoteServer(
  t: ExecutionContext,
  name: string,
  options: { readonly concurrency?: number; readonly drainOnClose?: number } = {},
): Promise<Actor> {
  const server = actor(t)
  await server.do(
    async ({ serve, contract, call, own }, name, options) => {
      const calc = contract('calc', {
        add: call<readonly [number, number], number>(),
        echo: call<unknown, unknown>(),
        fail: call<string, never>(),
        again: call<string, unknown>({ idempotent: true }),
      })
      const begun: unknown[] = []
      own['begun'] = begun
      own['aborted'] = 0
      const never = (value: unknown, signal: AbortSignal) => {
        begun.push(value)
        process.send!({ begun: value })
        signal.addEventListener('abort', () => {
          own['aborted'] = (own['aborted'] as number) + 1
        })
        return new Promise<never>(() => undefined)
      }
      own['server'] = await serve(
        name,
        calc,
        {
          add: ([a, b]) => a + b,
          echo: (value, { signal }) =>
            typeof value === 'number' && value < 0 ? never(value, signal) : process.pid,
          fail: (message) => {
            throw new Error(message)
          },
          again: (value, { signal }) =>
            value.startsWith(`not ${String(process.pid)}`) || value === 'once'
              ? never(value, signal)
              : process.pid,
        },
        options,
      )
    },
    name,
    options,
  )
  return server
}
