// `using` where there is no Symbol.dispose. Before Node 24 only the main context of a process has one; contexts of node:vm, in
// which some test runners run tests, have none. What esbuild, Babel and others make of `using` then looks for
// Symbol.for('Symbol.dispose'), so what `using` takes has its method under that name, too.

/** To be called in a static block of each class that has a method for `using`, or for `await using`. */
export function disposeInEveryContext(
  prototype: object,
  which: 'dispose' | 'asyncDispose' = 'dispose',
): void {
  // If we were loaded in such a context ourselves, the method came to be called 'undefined'.
  const own = (Symbol as Partial<Record<typeof which, symbol>>)[which]
  const name = own ?? 'undefined'
  const method = Object.getOwnPropertyDescriptor(prototype, name)
  if (method === undefined) throw new Error(`there is no method for ${which}`)
  Object.defineProperty(prototype, Symbol.for(`Symbol.${which}`), method)
  if (own === undefined) Reflect.deleteProperty(prototype, name)
}

/** What `using` closes. Whoever has a method for `await using` beside it extends this: in such a context both would have one name. */
export abstract class Closable {
  abstract close(): void

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }
}
