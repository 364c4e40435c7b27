// What hands out jobs to workers in other processes, all behind the same few calls.

import type { Parameters } from '../parameters.js'
import { bullmq } from './bullmq.js'
import { gateway } from './gateway.js'
import { jetstream } from './jetstream.js'
import { kafka } from './kafka.js'
import { millrace } from './millrace.js'
import { rabbitmq } from './rabbitmq.js'
import { redis } from './redis.js'
import { zeromq } from './zeromq.js'

export interface Pusher {
  /** Resolves when the engine has confirmed the job, as far as it confirms any. */
  push(job: Buffer): Promise<unknown>
  close(): Promise<void>
}

export interface Working {
  /** Takes no more jobs. */
  close(): Promise<void>
}

/** What is done with a job; it is completed afterwards. */
export type Handle = (job: Uint8Array) => void | Promise<void>

export interface Engine {
  /** By the leading process, before anybody works. */
  pusher(parameters: Parameters): Promise<Pusher>
  /** Up to `parameters.ahead` jobs at a time are handed out to this process. */
  work(parameters: Parameters, handle: Handle): Promise<Working>
}

const engines = { bullmq, gateway, jetstream, kafka, millrace, rabbitmq, redis, zeromq } as const
export type EngineName = keyof typeof engines

export function engineOf({ engine }: Parameters): Engine {
  if (engine === undefined) throw new Error('no engine was named')
  return engines[engine]
}
