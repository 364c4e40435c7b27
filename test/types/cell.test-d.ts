// The types of cells as a user's compiler sees them.
import { expectAssignable, expectError, expectNotAssignable, expectType } from 'tsd'
import {
  Cell,
  type CellReader,
  type CellReaderOptions,
  type CellSource,
  type CellValue,
  type CellWriter,
  type CellWriterOptions,
  type PeerState,
} from 'millrace'

const writer = Cell.writer('name', { maxBytes: 8, slots: 4, keep: true, mode: 0o640 })
expectType<CellWriter>(writer)
expectType<Promise<CellReader>>(Cell.reader('name', { timeout: 1, poll: 0 }))
expectType<boolean>(Cell.unlink('name'))
expectAssignable<CellWriterOptions>({ maxBytes: 8, slots: undefined })
expectAssignable<CellReaderOptions>({ signal: new AbortController().signal })
expectError(Cell.writer('name'))
expectError(Cell.writer('name', {}))
expectError(Cell.writer('name', { maxBytes: 8, poll: 1 }))
expectError(Cell.reader('name', { maxBytes: 8 }))

expectType<number>(writer.write('text'))
expectType<number>(writer.write(new Float64Array(1)))
expectType<number>(writer.update((bytes) => bytes.length))
writer.update((bytes) => expectType<Uint8Array<ArrayBuffer>>(bytes))
expectType<number>(writer.update(() => undefined, { copy: false }))
expectType<number>(writer.version)
expectType<boolean>(writer.hasReaders)
expectType<number>(writer.maxBytes)
expectType<boolean>(writer.closed)
expectAssignable<Disposable>(writer)
expectAssignable<CellSource>(new DataView(new ArrayBuffer(1)))
expectAssignable<CellSource>(new ArrayBuffer(1))
expectNotAssignable<CellSource>(7)
expectError(writer.write(7))
expectError(writer.update(() => 'text'))
expectError((writer.maxBytes = 1))
expectError(writer.read())

declare const reader: CellReader
expectType<CellValue | undefined>(reader.read())
expectType<number>(reader.readInto(new Uint16Array(2)))
expectType<number>(reader.version)
expectType<number>(reader.seen)
expectType<bigint>(reader.timestamp)
expectType<number>(reader.retries)
expectType<PeerState>(reader.peer)
expectType<number>(reader.peerPid)
expectType<Promise<boolean>>(reader.changed({ timeout: 1 }))
expectType<boolean>(reader.changedSync({ timeout: 1, spin: 0 }))
expectAssignable<AsyncIterable<CellValue>>(reader.changes({ signal: new AbortController().signal }))
expectType<Promise<void>>(reader.waitForPeer())
expectType<CellReader>(reader.ref().unref())
expectAssignable<Disposable>(reader)
expectError(reader.write('x'))

declare const value: CellValue
expectType<Buffer<ArrayBuffer>>(value.bytes)
expectType<number>(value.version)
expectType<bigint>(value.timestamp)
expectType<unknown>(value.value)
expectError((value.version = 1))
