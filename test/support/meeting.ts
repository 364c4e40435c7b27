// Two parties of this process that meet in a window of a few instructions, every time the test runs: one asks its native
// object something, and the other makes its whole move before the answer.

import type { ExecutionContext } from 'ava'

type Method = (...all: unknown[]) => unknown

/**
 * The next time `handle` calls that method of its native object, `move` comes first. The answer is the object's own: what
 * is true after the move. The test fails if the two never met.
 */
export function beforeAnswer(
  t: ExecutionContext,
  handle: object,
  method: string,
  move: () => void,
): void {
  let met = false
  const own = instead(handle, method, (inherited) => (...all) => {
    own.restore()
    met = true
    move()
    return inherited(...all)
  })
  t.teardown(() => {
    if (!met) throw new Error(`nobody asked '${method}'`)
  })
}

/** How often `handle` has called that method of its native object since now. The calls go through. */
export function countCalls(handle: object, method: string): () => number {
  let count = 0
  instead(handle, method, (inherited) => (...all) => {
    count++
    return inherited(...all)
  })
  return () => count
}

/** What `handle`'s native object answered the last time it was asked that since now. */
export function lastAnswer(handle: object, method: string): () => unknown {
  let last: unknown
  instead(
    handle,
    method,
    (inherited) =>
      (...all) =>
        (last = inherited(...all)),
  )
  return () => last
}

/** From now on the native object of `handle` is not asked that: this is the answer. */
export function answerAs(handle: object, method: string, answer: unknown): void {
  instead(handle, method, () => () => answer)
}

/** Gives the native object beneath `handle` a method of its own. Those of its class are read-only, so it is defined. */
function instead(handle: object, method: string, make: (inherited: Method) => Method) {
  const { native } = handle as { readonly native: Record<string, Method> }
  const inherited = native[method]
  if (inherited === undefined) throw new Error(`no native method '${method}'`)
  const value = make(inherited.bind(native))
  Object.defineProperty(native, method, { value, configurable: true })
  return {
    restore: () => {
      Reflect.deleteProperty(native, method)
    },
  }
}
