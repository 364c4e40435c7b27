// Servers and clients for one test.

import type { ExecutionContext } from 'ava'
import {
  call,
  connect,
  contract,
  serve,
  type CallServer,
  type Connected,
  type ConnectOptions,
  type Handlers,
  type ServeOptions,
} from 'millrace/rpc'

/** What most tests serve. */
export const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  echo: call<unknown, unknown>(),
  fail: call<string, never>(),
  again: call<string, unknown>({ idempotent: true }),
})
export type Calc = typeof calc

export const handlers: Handlers<Calc> = {
  add: ([a, b]) => a + b,
  echo: (value) => value,
  fail: (message) => {
    throw new Error(message)
  },
  again: (value) => value,
}

/** Serves until the test is over. */
export async function serving(
  t: ExecutionContext,
  name: string,
  own: Partial<Handlers<Calc>> = {},
  options?: ServeOptions,
): Promise<CallServer> {
  const server = await serve(name, calc, { ...handlers, ...own }, options)
  t.teardown(() => server[Symbol.asyncDispose]())
  return server
}

/** Connected until the test is over. */
export async function connected(
  t: ExecutionContext,
  name: string,
  options?: ConnectOptions,
): Promise<Connected<Calc>> {
  const client = await connect(name, calc, options)
  t.teardown(() => {
    client.close()
  })
  return client
}

/** A promise, and what settles it. */
export function gate<T = void>(): {
  readonly opened: Promise<T>
  readonly open: (value: T) => void
} {
  let open: (value: T) => void = () => undefined
  const opened = new Promise<T>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
