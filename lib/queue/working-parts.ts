/**
 * The rings, loaded by whoever opens a queue, and not at the first message: later a process may have no descriptors left to
 * read a file with.
 */
export function rings(): typeof import('./rings.js') {
  return require('./rings.js') as typeof import('./rings.js')
}
