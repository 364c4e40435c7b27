/**
 * Queues as Node's streams: {@link toReadable} and {@link toWritable}, for `pipeline`, files, sockets, gzip and whatever
 * else takes a stream; `Readable.toWeb` and `Writable.toWeb` make web streams of them. Loads `node:stream`.
 *
 * @module millrace/streams
 */

export type { StreamOptions } from './streams/options.js'
export {
  toMessagePort,
  type ChannelPort,
  type PortEvents,
  type PortListener,
  type PortOptions,
  type PortPair,
} from './streams/message-port.js'
export { toReadable } from './streams/readable.js'
export { toWritable } from './streams/writable.js'
export { toReadableStream, toWritableStream } from './streams/web.js'
