// What serves many must not keep the AsyncLocalStorage of whoever happens to need it first.

const { AsyncResource } = process.getBuiltinModule('node:async_hooks')
const outside = new AsyncResource('MILLRACE')

/** Calls `start` in an asynchronous context of the library's own: what it starts runs in that one, too. */
export function outsideOfAll<T>(start: (callback: () => void) => T, callback: () => void): T {
  return outside.runInAsyncScope(start, undefined, callback)
}
