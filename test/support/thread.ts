// Worker threads: started for one test, terminated with it, and never waited for without a deadline. As processes in
// process.ts.

import { on } from 'node:events'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'

import { within } from './until.js'

const patience = 20_000

/** A compiled fixture that runs in a Worker. */
export class Thread {
  readonly #worker: Worker
  /** From the start on: none that comes early is lost. */
  readonly #messages: AsyncIterator<unknown[]>
  readonly #ended: Promise<number>

  constructor(fixture: URL, options: WorkerOptions) {
    this.#worker = new Worker(fixture, options)
    this.#messages = on(this.#worker, 'message')
    this.#ended = new Promise((resolve) => this.#worker.once('exit', resolve))
  }

  /** The next message it posts; rejects with what it throws. */
  async next(): Promise<unknown> {
    const next = await within(patience, this.#messages.next())
    return (next.value as unknown[])[0]
  }

  /** The exit code it ends with. */
  ended(): Promise<number> {
    return within(patience, this.#ended)
  }

  /** Ends it, wherever it is. */
  async terminate(): Promise<void> {
    await within(patience, this.#worker.terminate())
  }
}

/** Runs a compiled fixture: `thread(t, new URL('./fixtures/pop.js', import.meta.url), { workerData: name })`. */
export function thread(t: ExecutionContext, fixture: URL, options: WorkerOptions): Thread {
  const started = new Thread(fixture, options)
  t.teardown(() => started.terminate())
  return started
}
