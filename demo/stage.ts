// What an actor finds in its process: whom to tell, and what to leave behind in order.

import type { Report } from './roles.js'

const progressEveryMs = 80

export class Stage {
  readonly #open: { close(): void }[] = []
  #lastProgress = 0

  /** Will be closed if the process has to end early. */
  keep<T extends { close(): void }>(opened: T): T {
    this.#open.push(opened)
    return opened
  }

  progress(bytes: number): void {
    const now = performance.now()
    if (now - this.#lastProgress < progressEveryMs) return
    this.#lastProgress = now
    this.tell({ type: 'progress', bytes })
  }

  tell(report: Report, then: () => void = () => undefined): void {
    if (process.connected) process.send?.(report, then)
    else then()
  }

  clear(): void {
    for (const opened of this.#open.splice(0)) opened.close()
  }
}
