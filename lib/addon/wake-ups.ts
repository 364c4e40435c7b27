// Who is to look when the doorbell of this environment rings. A ring says which channels it is for by their tokens.

const handlers = new Map<number, () => void>()
let lastToken = 0

/** A number no other channel of this environment has. */
export function newToken(): number {
  lastToken = (lastToken % 0xffff_ffff) + 1
  return lastToken
}

/** Calls `handler` at each wake-up for `token`, until {@link forgetWake}. */
export function onWakeOf(token: number, handler: () => void): void {
  handlers.set(token, handler)
}

export function forgetWake(token: number): void {
  handlers.delete(token)
}

/** As if it had been rung. */
export function ring(token: number): void {
  handlers.get(token)?.()
}

/** Wakes those whose tokens are the first `count` of `tokens`; everybody if `count` is negative. */
export function wake(count: number, tokens: Uint32Array): void {
  if (count < 0) {
    for (const handler of [...handlers.values()]) handler()
    return
  }
  if (count === 1) {
    handlers.get(tokens[0] ?? 0)?.()
    return
  }
  for (const token of new Set(tokens.slice(0, count))) handlers.get(token)?.()
}
