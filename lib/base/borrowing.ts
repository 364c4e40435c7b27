// Shared memory that JavaScript works in by itself, where that is to be had: Electron allows no ArrayBuffers over it, and
// what is quicker in JavaScript is left to the addon there.

import { isRefusal } from '../errors.js'

/** What `borrow` gives, or nothing where memory cannot be borrowed. */
export function ifAllowed<T>(borrow: () => T): T | undefined {
  try {
    return borrow()
  } catch (error) {
    if (!isRefusal(error)) throw error
    return undefined
  }
}
