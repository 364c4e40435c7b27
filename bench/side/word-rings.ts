// The two sides of the cases over word rings: two Workers that share a SharedArrayBuffer, or two processes that share
// memory of shm-typed-array. Both do the same work.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { isMainThread } from 'node:worker_threads'

import { payload } from './content.js'
import type { Measured } from './measured.js'
import type { Parameters } from './parameters.js'
import { peer, type ShmTypedArray } from './peer.js'
import { pinThread } from './pin-thread.js'
import { WordRing, ringWords } from './word-ring.js'
import { inWorker, startWorker } from './worker.js'

export interface RingTask {
  readonly role: 'lead' | 'follow'
  readonly parameters: Parameters
  /** Two rings, one each way. */
  readonly memory: Int32Array
  readonly follower: number
}

/** Bytes of messages that a ring has room for; by default as many as a queue. */
export const capacityOf = ({ capacity = 256 * 1024 }: Parameters) => capacity
const slotsOf = (parameters: Parameters) => capacityOf(parameters) / parameters.bytes
const slotWords = ({ bytes }: Parameters) => bytes / 4

/** To be called first, by both sides. */
export function rings({ role, parameters, memory }: RingTask): { there: WordRing; back: WordRing } {
  const { threadCores } = parameters
  if (!isMainThread && role === 'follow' && threadCores !== undefined) pinThread(threadCores[1])
  const size = slotWords(parameters)
  const slots = slotsOf(parameters)
  const words = ringWords(slots, size)
  return {
    there: new WordRing(memory.subarray(0, words), slots, size),
    back: new WordRing(memory.subarray(words, 2 * words), slots, size),
  }
}

/** A message, as bytes for its content and as words for the ring. */
export function ringMessage({ bytes }: Parameters): { bytes: Buffer; words: Int32Array } {
  const message = payload(bytes)
  return { bytes: message, words: new Int32Array(message.buffer, message.byteOffset, bytes / 4) }
}

const totalWords = (parameters: Parameters) =>
  2 * ringWords(slotsOf(parameters), slotWords(parameters))

/** Leads in a Worker, with another Worker to follow. */
export async function leadWorkers(file: string, parameters: Parameters): Promise<Measured> {
  const memory = new Int32Array(new SharedArrayBuffer(4 * totalWords(parameters)))
  const shared = { parameters, memory, follower: 0 }
  const following = startWorker(file, { ...shared, role: 'follow' } satisfies RingTask)
  await once(following, 'online')
  const measured = await inWorker<Measured>(file, { ...shared, role: 'lead' } satisfies RingTask)
  await following.terminate()
  return measured
}

/** Runs `work` here, on memory that the follower opens, too. */
export async function leadProcesses(
  parameters: Parameters,
  follower: ChildProcess,
  work: (task: RingTask) => Promise<Measured> | Measured,
): Promise<Measured> {
  const shm = peer('shm-typed-array') as ShmTypedArray
  const key = `/${parameters.name}`
  const memory = shm.create(totalWords(parameters), 'Int32Array', key)
  if (memory === null) throw new Error('shm-typed-array: the memory exists already')
  follower.send('go')
  const measured = await work({ role: 'lead', parameters, memory, follower: follower.pid! })
  if (follower.exitCode === null) await once(follower, 'exit')
  shm.destroy(key)
  return measured
}

export async function followProcess(
  parameters: Parameters,
  work: (task: RingTask) => void,
): Promise<void> {
  const shm = peer('shm-typed-array') as ShmTypedArray
  await once(process, 'message')
  const memory = shm.get(`/${parameters.name}`, 'Int32Array')
  if (memory === null) throw new Error('shm-typed-array: there is no such memory')
  work({ role: 'follow', parameters, memory, follower: 0 })
}
