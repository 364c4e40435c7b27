// The streams as a user's compiler sees them.
import type { Readable, Writable } from 'node:stream'
import { expectAssignable, expectError, expectType } from 'tsd'
import { SpscQueue } from 'millrace'
import { struct, u32 } from 'millrace/struct'
import { toReadable, toWritable, type StreamOptions } from 'millrace/streams'

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
