// The handles of a pipeline in this process: one for each stage that it takes from, the first also for what it pushes. Each is opened
// when it is first needed; together they are one thing to whoever closes it.

import { native } from '../addon/native.js'
import type { NativeWork, NativeWorkOptions } from '../addon/work.js'
import type { Tuning } from '../base/options.js'
import { closedError, MillraceError } from '../errors.js'
import { StageHandle } from './stage-handle.js'

/** What all of them are opened by. */
export interface Opening {
  readonly tuning: Tuning
  readonly native: NativeWorkOptions
}

export class PipelineHandles {
  readonly #name: string
  readonly #opening: Opening
  #names: readonly string[] = []
  #ordered = 0
  /** By the numbers of their stages. */
  readonly #handles: (StageHandle | undefined)[] = []
  #instance: string | undefined
  #refed = true
  #closed = false

  constructor(name: string, opening: Opening) {
    this.#name = name
    this.#opening = opening
  }

  /** The stages are these from now on. */
  define(names: readonly string[], ordered: number): void {
    this.#names = names
    this.#ordered = ordered
  }

  /** Opens the first one with the stages that the pipeline has, and returns those. */
  attach(): readonly string[] {
    const handle = new native.Work({ ...this.#opening.native, asFound: true })
    const { stages, ordered = 0 } = handle
    if (stages === undefined) {
      // Of one that we have just made nothing is left.
      handle.close()
      throw new MillraceError(
        'ERR_MILLRACE_NOT_FOUND',
        `there is no pipeline '${this.#name}': open it with Pipeline.open() and its stages, or, if it is a plain work queue, ` +
          'with WorkQueue.open()',
      )
    }
    this.define(stages, ordered)
    this.#add(handle, 0)
    return stages
  }

  get closed(): boolean {
    return this.#closed || this.opened.some((handle) => handle.closed)
  }

  get opened(): StageHandle[] {
    return this.#handles.filter((handle) => handle !== undefined)
  }

  assertOpen(): void {
    if (this.#closed) throw closedError(`pipeline '${this.#name}'`)
  }

  /** That of a stage. */
  at(index: number): StageHandle {
    this.assertOpen()
    return this.#handles[index] ?? this.#open(index)
  }

  ref(refed: boolean): void {
    this.#refed = refed
    for (const handle of this.opened) {
      if (refed) handle.ref()
      else handle.unref()
    }
  }

  close(): void {
    this.#closed = true
    for (const handle of this.opened) handle.close()
  }

  /** When handlers that have time to finish have done so. */
  async closing(): Promise<void> {
    this.close()
    await Promise.all(this.opened.map((handle) => handle[Symbol.asyncDispose]()))
  }

  #open(index: number): StageHandle {
    return this.#add(
      new native.Work({
        ...this.#opening.native,
        stages: this.#names,
        ordered: this.#ordered,
        stage: index,
      }),
      index,
    )
  }

  #add(handle: NativeWork, index: number): StageHandle {
    this.#instance ??= handle.instance
    if (handle.instance !== this.#instance) {
      handle.close()
      throw new MillraceError(
        'ERR_MILLRACE_NOT_FOUND',
        `the pipeline '${this.#name}' that is open here was unlinked, and its name is another one's by now, at which stage ` +
          `'${this.#names[index]!}' could not work for this one: close it, and open it again`,
      )
    }
    const added = new StageHandle(handle, this.#opening.tuning, {
      pipeline: this.#name,
      names: this.#names,
      index,
    })
    this.#handles[index] = added
    if (!this.#refed) added.unref()
    return added
  }
}
