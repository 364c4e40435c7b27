// Where an actor plays: the program of the forked process. See actor.ts.

import * as millrace from 'millrace'
import * as resilience from 'millrace/resilience'
import * as rpc from 'millrace/rpc'
import * as streams from 'millrace/streams'
import * as structs from 'millrace/struct'
import * as sync from 'millrace/sync'
import * as topics from 'millrace/topics'
import * as work from 'millrace/work'
import type { Answer, Failure } from './actor.js'

/** What a scene finds when it is run: the library, and a place to keep things between scenes. */
export type Stage = typeof millrace &
  typeof resilience &
  typeof rpc &
  typeof streams &
  typeof structs &
  typeof sync &
  typeof topics &
  typeof work & { readonly own: Own }

/** Named as the scenes need them; a scene knows what the one before it put there. */
export interface Own {
  producer: millrace.QueueProducer
  consumer: millrace.QueueConsumer
  writer: millrace.FrameWriter
  reader: millrace.FrameReader
  cellWriter: millrace.CellWriter
  memory: millrace.SharedMemory
  semaphore: sync.Semaphore
  mutex: sync.Mutex
  lock: sync.RwLock
  guard: sync.LockGuard
  bus: topics.Topics
  subscription: topics.Subscription
  jobs: work.WorkQueue
  pending: Promise<unknown>
  [name: string]: unknown
}

interface Order {
  readonly scene?: string
  readonly args: readonly unknown[]
  readonly silent?: boolean
  readonly leave?: boolean
}

const stage = {
  ...millrace,
  ...resilience,
  ...rpc,
  ...streams,
  ...structs,
  ...sync,
  ...topics,
  ...work,
  own: {} as Own,
} as Stage

if (process.send !== undefined) process.on('message', (order: Order) => void perform(order))

async function perform(order: Order): Promise<void> {
  if (order.leave === true) {
    process.disconnect()
    return
  }
  const answer = await play(order)
  if (order.silent !== true) process.send?.(answer)
}

async function play({ scene, args }: Order): Promise<Answer> {
  try {
    // The text of a function written in a test file of this very repository.
    // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call
    const act = new Function(`return (${scene ?? ''})`)() as (...all: unknown[]) => unknown
    return { result: await act(stage, ...args) }
  } catch (error) {
    const { name, message, code } = error as Failure
    return { error: { name, message, code } }
  }
}
