/**
 * Queues as streams: {@link toReadable}, {@link toWritable} and {@link toDuplex} for `pipeline`, files, sockets, gzip and whatever
 * else takes a stream of Node's; {@link toReadableStream}, {@link toWritableStream} and {@link toStreamPair} for those of the web; and
 * {@link toMessagePort} for what speaks by `postMessage`. Loads `node:stream`.
 *
 * @module millrace/streams
 */

export { toDuplex, type DuplexOptions } from './streams/duplex.js'
export type { QueuePair, StreamOptions } from './streams/options.js'
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
export { toReadableStream, toStreamPair, toWritableStream, type StreamPair } from './streams/web.js'
