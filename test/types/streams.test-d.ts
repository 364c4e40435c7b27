// The streams as a user's compiler sees them.
import type { Duplex, Readable, Writable } from 'node:stream'
import { expectAssignable, expectError, expectType } from 'tsd'
import { SpscQueue } from 'millrace'
import { struct, u32 } from 'millrace/struct'
import {
  toDuplex,
  toReadable,
  toStreamPair,
  toWritable,
  type DuplexOptions,
  type StreamOptions,
} from 'millrace/streams'

const Tick = struct({ size: u32 })
expectType<Readable>(toReadable(SpscQueue.consumer('name')))
expectType<Readable>(toReadable(SpscQueue.consumer('name', { schema: Tick }), { objectMode: true }))
expectType<Writable>(toWritable(SpscQueue.producer('name')))
expectType<Writable>(toWritable(SpscQueue.producer('name', { schema: Tick }), { objectMode: true }))
expectAssignable<StreamOptions>({
  objectMode: false,
  highWaterMark: 0,
  autoClose: undefined,
  signal: new AbortController().signal,
})
expectError(toReadable(SpscQueue.producer('name')))
expectError(toWritable(SpscQueue.consumer('name')))
expectError(toReadable(SpscQueue.consumer('name'), { highWaterMark: '1' }))
expectError(toWritable(SpscQueue.producer('name'), { end: true }))

const plain = { producer: SpscQueue.producer('there'), consumer: SpscQueue.consumer('back') }
const typed = {
  producer: SpscQueue.producer('there', { schema: Tick }),
  consumer: SpscQueue.consumer('back', { schema: Tick }),
}
expectType<Duplex>(toDuplex(plain))
expectType<Duplex>(toDuplex(typed, { objectMode: true, allowHalfOpen: false }))
expectAssignable<DuplexOptions>({ readableObjectMode: true, writableHighWaterMark: 1 })
expectType<ReadableStream<Uint8Array<ArrayBuffer>>>(toStreamPair(plain).readable)
expectType<ReadableStream<{ size: number }>>(toStreamPair(typed, { objectMode: true }).readable)
expectError(toDuplex({ producer: plain.consumer, consumer: plain.producer }))
expectError(toDuplex({ producer: plain.producer }))
expectError(toStreamPair(plain, { allowHalfOpen: true }))
