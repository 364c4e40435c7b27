// One performance of the demo: where its channels and sockets are, how its runs are started and told
// about, and that nothing of it stays behind.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FrameWriter, SpscQueue } from 'millrace'
import { run } from './company.js'
import { ProgressLine } from './progress.js'
import type { Outcome, Task, Transport } from './roles.js'

const watchdogMs = 90_000

export interface RunLine {
  readonly label: string
  /** Bytes that the reporting receiver will have taken. */
  readonly bytes: number
  /** In a few words, how it went; throws if it did not go well. */
  readonly judge: (outcomes: readonly Outcome[]) => string
}

export class Show implements Disposable {
  readonly #signal: AbortSignal
  readonly #directory = mkdtempSync(join(tmpdir(), `millrace-demo-${process.pid}-`))
  #runs = 0

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** A fresh address for a run. */
  address(transport: Transport): string {
    const run = ++this.#runs
    return transport === 'millrace'
      ? `millrace-demo-${process.pid}-${run}`
      : join(this.#directory, `${run}.sock`)
  }

  /** Runs the tasks, all on the same address, while a progress line tells how far they are. */
  async run(tasks: readonly Task[], line: RunLine): Promise<Outcome[]> {
    const progress = new ProgressLine(line.label, line.bytes, process.stdout)
    try {
      const outcomes = await run(tasks, {
        signal: this.#signal,
        watchdogMs,
        onProgress: (bytes) => {
          progress.update(bytes)
        },
      })
      progress.finish(line.judge(outcomes))
      return outcomes
    } catch (error) {
      progress.cancel()
      throw error
    } finally {
      // Processes that had to be killed could not do it themselves.
      for (const { transport, address } of tasks) {
        if (transport === 'socket') continue
        SpscQueue.unlink(address)
        FrameWriter.unlink(address)
      }
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
