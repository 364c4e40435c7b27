// An object of each class that a program has to do with.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import {
  Cell,
  FrameReader,
  FrameWriter,
  NamelessSegment,
  offerSegments,
  RecordQueue,
  SharedMemory,
  SpscQueue,
} from 'millrace'
import { SharedBreaker, SharedRateLimiter } from 'millrace/resilience'
import { f64, struct } from 'millrace/struct'
import { Barrier, Counter, Mutex, RwLock, Semaphore, SharedEvent } from 'millrace/sync'
import { Topics } from 'millrace/topics'
import { Pipeline, WorkQueue } from 'millrace/work'

/** One of each, and what is not a handle but comes from one. */
export async function openOneOfEach(t: ExecutionContext, name: string) {
  const producer = SpscQueue.producer(name)
  const consumer = SpscQueue.consumer(name)
  const writer = FrameWriter.create(name, { slotBytes: 64 })
  const reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  producer.tryPush('12345')
  const cellWriter = Cell.writer(name, { maxBytes: 64 })
  const cellReader = await Cell.reader(name)
  cellWriter.write('text')
  const segment = NamelessSegment.create()
  const record = struct({ a: f64 }, { name: 'Point' })
  const mutex = Mutex.open(name)
  const semaphore = Semaphore.create(name, 2)
  t.teardown(() => semaphore.unlink())
  const jobs = WorkQueue.open(name)
  jobs.tryPush('12345')
  const pipeline = Pipeline.open(`${name}.stages`).stage('first').stage('second')
  pipeline.tryPush('12345')
  const bus = Topics.open(name)
  const subscription = await bus.subscribe('>')
  bus.tryPublish('a', '12345')
  const breaker = SharedBreaker.open(name)
  const handles = {
    QueueProducer: producer,
    QueueConsumer: consumer,
    RecordProducer: RecordQueue.producer(`${name}.records`, { record }),
    RecordConsumer: RecordQueue.consumer(`${name}.records`, { record }),
    FrameWriter: writer,
    FrameReader: reader,
    CellWriter: cellWriter,
    CellReader: cellReader,
    SharedMemory: SharedMemory.create(name, 64),
    NamelessSegment: segment,
    SegmentOffer: await offerSegments(join(tmpdir(), name), { segment }),
    Mutex: mutex,
    RwLock: RwLock.open(name),
    Semaphore: semaphore,
    SharedEvent: SharedEvent.open(name),
    Barrier: Barrier.open(name, { parties: 2 }),
    Counter: Counter.open(name),
    SharedRateLimiter: SharedRateLimiter.open(name, { rate: 10 }),
    SharedBreaker: breaker,
    WorkQueue: jobs,
    Pipeline: pipeline,
    Topics: bus,
  }
  t.teardown(() => {
    for (const handle of Object.values(handles)) handle.close()
    SpscQueue.unlink(name) // with the message that is held
    WorkQueue.unlink(name) // with the job that was in hand
    Pipeline.unlink(pipeline.name)
  })
  const others = {
    LoanedFrame: writer.tryLoan()!,
    Frame: reader.tryReceive()!,
    CellValue: cellReader.read()!,
    LockGuard: mutex.tryLock()!,
    Permit: semaphore.tryAcquire()!,
    BreakerPass: breaker.tryEnter()!,
    HeldMessage: consumer.tryTake()!,
    Reservation: producer.reserve(8)!,
    Iteration: consumer.messages(),
    Job: jobs.tryTake()!,
    StageJob: pipeline.tryTake('first')!,
    WorkLoan: jobs.tryLoan(8)!,
    Subscription: subscription,
    TopicMessage: subscription.tryReceive()!,
    TopicLoan: bus.tryLoan('a', 8)!,
    DeadLetters: jobs.dead,
    FieldType: f64,
    Struct: record,
  }
  return { handles, others }
}
