// A program as a TypeScript user writes it. It is type-checked under each kind of module resolution, compiled and run,
// and run as it is where the runtime strips types (so it has only types that can be stripped).

import {
  FrameReader,
  FrameWriter,
  MillraceError,
  SpscQueue,
  type ErrorCode,
  type Frame,
  type QueueConsumer,
  type QueueOptions,
} from 'millrace'
import { f64, struct, u32, type ValueOf } from 'millrace/struct'
import { Mutex } from 'millrace/sync'

const Tick = struct({ price: f64, size: u32 }, { name: 'Tick' })
type TickValue = ValueOf<typeof Tick>

const options: QueueOptions = { capacity: 65_536 }
const patience = { timeout: 60_000 } as const
const ticks = 100

async function left(name: string): Promise<void> {
  const queue = SpscQueue.producer(`${name}.typed`, options)
  for (let i = 0; i < ticks; i++) {
    const tick = new Uint8Array(Tick.size)
    Tick.view(tick).price = i / 4
    await queue.push(tick, patience)
  }
  await queue.end(patience)
  const writer = FrameWriter.create(`${name}.typed`, { slotBytes: 64 })
  await writer.waitForReaders(1, patience)
  const loan = await writer.loan(patience)
  loan.view(Float64Array, 0, 8).fill(0.5)
  loan.publish()
  const mutex = Mutex.open(`${name}.typed`)
  const guard = await mutex.lock(patience)
  const abandoned: boolean = guard.abandoned
  guard.release()
  mutex.close()
  writer.close()
  queue.close()
  console.log(JSON.stringify({ role: 'left', abandoned }))
}

async function right(name: string): Promise<void> {
  const queue: QueueConsumer = SpscQueue.consumer(`${name}.typed`, options)
  let sum = 0
  for await (const message of queue) {
    const { price }: TickValue = Tick.read(Tick.view(message))
    sum += price
  }
  queue.close()
  const reader = await FrameReader.open(`${name}.typed`, patience)
  const frame: Frame | undefined = await reader.receive(patience)
  const halves = frame?.view(Float64Array, 0, 8).reduce((total, half) => total + half, 0)
  frame?.release()
  reader.close()
  let code: ErrorCode | undefined
  try {
    reader.tryReceive()
  } catch (error) {
    if (error instanceof MillraceError) code = error.code
  }
  console.log(JSON.stringify({ role: 'right', sum, halves, code }))
}

const [role, name = ''] = process.argv.slice(2)
void (role === 'left' ? left(name) : right(name))
