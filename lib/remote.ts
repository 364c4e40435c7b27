/**
 * What opens the patterns by addresses that are not this machine's memory. Loaded by the entry points of the patterns, when such an
 * address is first named.
 *
 * @module
 */

export { workLine } from './remote/work/line.js'
export { RemoteWorkQueue } from './remote/work/queue.js'
export { serveWork } from './remote/work/serve.js'
