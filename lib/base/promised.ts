// Callbacks get views that are valid only during the call. One that returns a promise goes on with its view afterwards, and
// nothing would tell it that other bytes lie there by then.

export function isPromise(returned: unknown): returned is PromiseLike<unknown> {
  return (
    typeof returned === 'object' &&
    returned !== null &&
    typeof (returned as { readonly then?: unknown }).then === 'function'
  )
}
