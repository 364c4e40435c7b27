// An actor is another process that does what the test tells it to, so that a test of two processes reads
// from top to bottom in one place:
//
//   const other = actor(t)
//   await other.do(({ SpscQueue, own }, name) => {
//     own.producer = SpscQueue.producer(name)
//   }, name)
//
// The function travels as text: it can use its parameters and globals, nothing else.

import type { ForkOptions } from 'node:child_process'
import type { ExecutionContext } from 'ava'
import type { Stage } from './stage.js'
import { run, type Ending, type Run } from './process.js'

export type { Stage } from './stage.js'

export type Answer = { readonly result: unknown } | { readonly error: Failure }

/** What is left of an error on its way between processes. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly code: string | undefined
}

/** An error that an actor's function threw. */
export class ActorError extends Error {
  readonly code: string | undefined
  constructor({ name, message, code }: Failure) {
    super(message)
    this.name = name
    this.code = code
  }
}

export class Actor {
  readonly run: Run
  #last: Promise<unknown> = Promise.resolve()

  constructor(started: Run) {
    this.run = started
  }

  get pid(): number {
    return this.run.pid
  }

  /** Runs `scene` there, after the scenes before it, and returns its result. */
  async do<Args extends readonly unknown[], Result>(
    scene: (stage: Stage, ...args: Args) => Result,
    ...args: Args
  ): Promise<Awaited<Result>> {
    const answer = this.#last
      .catch(() => undefined)
      .then(async () => {
        this.run.send({ scene: scene.toString(), args })
        const answered = (await this.run.next()) as Answer
        if ('error' in answered) throw new ActorError(answered.error)
        return answered.result
      })
    this.#last = answer
    return (await answer) as Awaited<Result>
  }

  /** Starts `scene` there and does not wait: for what ends with the process, or is to be killed. */
  start<Args extends readonly unknown[]>(
    scene: (stage: Stage, ...args: Args) => unknown,
    ...args: Args
  ): void {
    this.run.send({ scene: scene.toString(), args, silent: true })
  }

  kill(signal?: NodeJS.Signals): Promise<Ending> {
    return this.run.kill(signal)
  }

  /** Lets it end in its own time: nothing but its own handles keep it alive. */
  leave(): Promise<Ending> {
    this.run.send({ leave: true })
    return this.run.ended()
  }
}

export function actor(t: ExecutionContext, options?: ForkOptions): Actor {
  return new Actor(run(t, new URL('./stage.js', import.meta.url), [], options))
}
