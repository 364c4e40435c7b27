// The public types as a user's compiler sees them.
import { expectAssignable, expectError, expectNotAssignable, expectType } from 'tsd'
import {
  errorCodes,
  MillraceError,
  monotonicNow,
  select,
  selectEach,
  SharedMemory,
  SpscQueue,
  type BlockingOptions,
  type ErrorCode,
  type FrameReader,
  type HeldMessage,
  type MessageSource,
  type OpenMemoryOptions,
  type PeerState,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
  type Reservation,
  type Selectable,
  type Selected,
  type WaitOptions,
} from 'millrace'
import { Permit, Semaphore, type SemaphoreOptions } from 'millrace/sync'

// Errors
declare const error: MillraceError
expectAssignable<Error>(error)
expectType<ErrorCode>(error.code)
expectAssignable<string>(error.code)
expectAssignable<ErrorCode>('ERR_MILLRACE_CLOSED')
expectNotAssignable<ErrorCode>('ERR_MILLRACE_NONSENSE')
expectType<string | undefined>(error.syscall)
expectType<number | undefined>(error.errno)
expectAssignable<readonly ErrorCode[]>(errorCodes)
expectError((error.code = 'ERR_MILLRACE_CLOSED'))

// Opening
const producer = SpscQueue.producer('name', { capacity: 4096, keep: true, mode: 0o660, poll: 0.5 })
const consumer = SpscQueue.consumer('name')
expectType<QueueProducer>(producer)
expectType<QueueConsumer>(consumer)
expectType<boolean>(SpscQueue.unlink('name'))
expectAssignable<QueueOptions>({ capacity: undefined })
expectError(SpscQueue.producer())
expectError(SpscQueue.producer(7))
expectError(SpscQueue.producer('name', { capacity: '4096' }))
expectError(SpscQueue.producer('name', { size: 1 }))
expectError((SpscQueue.unlink = () => true))

// Both sides
expectType<string>(producer.name)
expectType<number>(producer.capacity)
expectType<number>(producer.maxMessage)
expectType<PeerState>(consumer.peer)
expectAssignable<PeerState>('gone')
expectAssignable<PeerState>('failed')
expectType<void>(producer.abort())
expectType<void>(producer.abort('why'))
expectType<void>(consumer.abort(new Error('why')))
expectNotAssignable<PeerState>('dead')
expectType<number>(consumer.peerPid)
expectType<boolean>(consumer.closed)
expectType<Promise<void>>(consumer.waitForPeer({ timeout: 10 }))
expectType<QueueConsumer>(consumer.ref().unref())
expectType<void>(producer.close({ discard: true }))
expectAssignable<Disposable>(producer)
expectError(producer.close(true))
expectError((producer.capacity = 1))
expectNotAssignable<keyof QueueProducer>('native')
expectNotAssignable<keyof QueueProducer>('room')

// Sending
expectAssignable<MessageSource>('text')
expectAssignable<MessageSource>(Buffer.alloc(1))
expectAssignable<MessageSource>(new Float64Array(1))
expectAssignable<MessageSource>(new DataView(new ArrayBuffer(1)))
expectAssignable<MessageSource>(new ArrayBuffer(1))
expectNotAssignable<MessageSource>(1)
expectType<boolean>(producer.tryPush('x'))
expectType<Promise<void>>(producer.push('x', { signal: new AbortController().signal }))
expectType<void>(producer.pushSync('x', { timeout: 1, spin: 0.1 }))
expectType<number>(producer.tryPushBatch(['x', Buffer.alloc(1)] as const))
expectType<Promise<void>>(producer.pushBatch(['x']))
expectType<Reservation | undefined>(producer.reserve(8))
expectType<Promise<Reservation>>(producer.reserveWhenFree(8))
expectType<Promise<void>>(producer.end())
expectType<number>(producer.freeBytes)
expectError(producer.push({ text: 'x' }))
expectError(consumer.push('x'))

declare const reservation: Reservation
expectType<Uint8Array>(reservation.bytes)
expectType<void>(reservation.commit(4))
expectAssignable<Disposable>(reservation)

// Receiving
expectType<Buffer<ArrayBuffer> | undefined>(consumer.tryPop())
expectType<number>(consumer.tryPopInto(new Uint16Array(4)))
expectType<Promise<Buffer<ArrayBuffer> | undefined>>(consumer.pop())
expectType<Buffer<ArrayBuffer> | undefined>(consumer.popSync({ timeout: 1 }))
expectType<number>(consumer.nextLength)
expectType<number>(consumer.drain((message) => expectType<Uint8Array>(message), 10))
expectType<Promise<boolean>>(consumer.readable())
expectType<HeldMessage | undefined>(consumer.tryTake())
expectType<Promise<HeldMessage | undefined>>(consumer.take({ timeout: 1 }))
expectType<HeldMessage | undefined>(consumer.takeSync({ spin: 1 }))
expectError(consumer.take({ spin: 1 }))

declare const message: HeldMessage
expectType<Uint8Array<ArrayBuffer>>(message.bytes)
expectType<number>(message.length)
expectType<boolean>(message.released)
expectType<void>(message.release())
expectAssignable<Disposable>(message)
expectError((message.bytes = new Uint8Array()))
expectError((message.length = 1))
expectAssignable<AsyncIterable<Buffer>>(consumer)
expectError(producer.tryPop())

// Waiting
expectAssignable<WaitOptions>({})
expectAssignable<BlockingOptions>({ timeout: undefined })
expectNotAssignable<WaitOptions>({ timeout: '1' })
expectNotAssignable<WaitOptions>({ signal: 'abort' })

// Shared memory
const memory = SharedMemory.create('name', 4096, { mode: 0o640 })
expectType<SharedMemory>(memory)
expectType<SharedMemory>(SharedMemory.open('name', { readOnly: true, owner: 1000 }))
expectType<boolean>(SharedMemory.unlink('name'))
expectType<boolean>(memory.unlink())
expectType<ArrayBuffer>(memory.buffer)
expectAssignable<Float32Array>(memory.view(Float32Array))
expectAssignable<BigInt64Array>(memory.view(BigInt64Array, 8, 1))
expectAssignable<DataView>(memory.view(DataView))
expectAssignable<Uint16Array>(memory.read(new Uint16Array(2), 4))
expectType<void>(memory.write(Buffer.alloc(4)))
expectAssignable<Disposable>(memory)
expectAssignable<OpenMemoryOptions>({ readOnly: undefined })
expectError(SharedMemory.create('name'))
expectError(SharedMemory.create('name', 8, { readOnly: true }))
expectError(memory.read([1, 2]))
expectError((memory.size = 1))

// Semaphores
const semaphore = Semaphore.create('name', 1, { mode: 0o660, poll: 0 })
expectType<Semaphore>(semaphore)
expectType<Semaphore>(Semaphore.open('name', { owner: 1000 }))
expectType<Semaphore>(Semaphore.openOrCreate('name', 1))
expectType<boolean>(Semaphore.unlink('name'))
expectType<number>(Semaphore.maxValue)
expectType<boolean>(semaphore.tryWait())
expectType<Promise<void>>(semaphore.wait({ timeout: 10, signal: new AbortController().signal }))
expectType<void>(semaphore.waitSync({ timeout: 10, spin: 1 }))
expectType<void>(semaphore.post(2))
expectType<Permit | undefined>(semaphore.tryAcquire())
expectType<Promise<Permit>>(semaphore.acquire())
expectType<Permit>(semaphore.acquireSync())
expectType<number>(semaphore.value)
expectType<boolean>(semaphore.created)
expectType<Semaphore>(semaphore.ref().unref())
expectAssignable<Disposable>(semaphore)
expectAssignable<Disposable>(semaphore.acquireSync())
expectAssignable<SemaphoreOptions>({ spin: undefined })
expectError(Semaphore.create('name'))
expectError(Semaphore.create('name', 1, { owner: 1000 }))
expectError((semaphore.value = 1))
expectError(semaphore.waitSync({ signal: new AbortController().signal }))

expectType<bigint>(monotonicNow())

declare const sources: readonly [QueueConsumer, FrameReader]
expectType<Promise<Selected<QueueConsumer | FrameReader>>>(select(sources, { timeout: 1 }))
expectAssignable<AsyncIterable<Selected<QueueConsumer>>>(selectEach([sources[0]]))
expectAssignable<Selectable>(sources[1])
expectError(select([7]))
expectError(select(sources, { poll: 1 }))
