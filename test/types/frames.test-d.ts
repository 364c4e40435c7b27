// What frames are to TypeScript: bytes that the interfaces of the web take.
import { Readable } from 'node:stream'
import { expectAssignable, expectError, expectType } from 'tsd'
import { FrameReader, FrameWriter, type Bytes, type FrameSource } from 'millrace'

const writer = FrameWriter.create('x', { slotBytes: 1 })
const reader = await FrameReader.open('x', { after: 5, history: 2 })
expectType<string>(reader.channelId)
expectType<Promise<FrameReader>>(
  FrameReader.open('x', { after: { channelId: reader.channelId, sequence: 5 } }),
)
expectError(FrameReader.open('x', { after: { sequence: 5 } }))
const loan = await writer.loan()
const frame = (await reader.receive())!
expectType<Uint8Array<ArrayBuffer>>(loan.bytes)
expectType<Uint8Array<ArrayBuffer>>(loan.header)
expectType<Uint8Array<ArrayBuffer>>(frame.bytes)
expectType<Uint8Array<ArrayBuffer>>(frame.header)
expectAssignable<Bytes>(new Uint8Array(3))
new Blob([frame.bytes])
expectType<Promise<ArrayBuffer>>(crypto.subtle.digest('SHA-256', frame.bytes))
expectType<Promise<void>>(reader.waitForPeer({ timeout: 1 }))

expectType<void>(writer.abort(new Error('why')))
expectType<Promise<number>>(writer.fill(0, { frameBytes: 1 }))
expectType<Promise<number>>(writer.fill(process.stdin))
expectAssignable<FrameSource>(Readable.from([]))
expectError(writer.fill([new Uint8Array(1)]))
expectError(writer.fill('/dev/video0'))
expectError(writer.loan({ time: 5 }))
