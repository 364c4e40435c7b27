// What queues work with. It is a part: loaded when a queue is opened for the first time.

export { HeldMessages } from './held-messages.js'
export { RingReader } from './ring-reader.js'
export { RingWriter } from './ring-writer.js'
