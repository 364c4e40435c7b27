// Writes a process's calls to a file, before and after each, so that its history survives its death at any
// instruction: what was written is in the page cache, which belongs to nobody.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

import type { Operation } from './operation.js'

export class Recorder {
  readonly #process: string
  readonly #object: string | undefined
  readonly #file: number

  /** Appends to `path`, which only this recorder writes. */
  constructor(path: string, process: string, object?: string) {
    this.#process = process
    this.#object = object
    this.#file = openSync(path, 'a')
  }

  /** Makes the call and passes on what it answers. One that throws is recorded as cut off. */
  call<Output>(name: string, input: unknown, call: () => Output): Output {
    this.#begin(name, input)
    const output = call()
    this.#finish(output)
    return output
  }

  /** The call that belongs to one that succeeded. */
  callIf(succeeded: boolean, name: string, call: () => void): void {
    if (succeeded) this.call(name, undefined, call)
  }

  async callAsync<Output>(
    name: string,
    input: unknown,
    call: () => PromiseLike<Output>,
  ): Promise<Output> {
    this.#begin(name, input)
    const output = await call()
    this.#finish(output)
    return output
  }

  close(): void {
    closeSync(this.#file)
  }

  #begin(name: string, input: unknown): void {
    const called = { process: this.#process, name, input, object: this.#object }
    this.#write({ ...called, start: process.hrtime.bigint() })
  }

  #finish(output: unknown): void {
    this.#write({ end: process.hrtime.bigint(), output })
  }

  #write(line: object): void {
    writeSync(this.#file, `${JSON.stringify(line, withBigints)}\n`)
  }
}

/** The calls of one recorder; the last one may be cut off. */
export function readHistory(path: string): Operation[] {
  const operations: Operation[] = []
  // What is behind the last line break was cut off in the writing of it.
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const part = JSON.parse(line, intoBigints) as Operation
    if ('start' in part) operations.push({ ...part, end: undefined })
    else operations.push({ ...operations.pop()!, ...(part as object) })
  }
  return operations
}

function withBigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? { bigint: String(value) } : value
}

function intoBigints(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('bigint' in value)) return value
  return BigInt(value.bigint as string)
}
