// What comes of a socket. While the library waits for something it keeps the process alive, and cannot be told not to: so it waits only
// while the process is to live, and otherwise is asked now and then.

import { startTimer, stopTimer } from '../../base/time.js'
import type { Frames, ZmqNative } from './library.js'

/** Milliseconds between two looks. */
const lookMs = 20

export class Pump {
  readonly #socket: ZmqNative
  #alive = true
  readonly #waiting = new Set<() => void>()

  constructor(socket: ZmqNative) {
    this.#socket = socket
  }

  hold(alive: boolean): void {
    this.#alive = alive
    if (alive) this.wake()
  }

  /** The next message; undefined: the socket is closed, or `isOver` says so, which is asked ten times a second. One at a time. */
  async receive(isOver: () => boolean): Promise<Frames | undefined> {
    while (!this.#socket.closed && !isOver()) {
      if (!this.#alive && !this.#socket.readable) {
        await this.pause()
        continue
      }
      try {
        return await this.#socket.receive()
      } catch (error) {
        if (!isAgain(error) && !this.#isClosed()) throw error
      }
    }
    return undefined
  }

  #isClosed(): boolean {
    return this.#socket.closed // by now
  }

  /** Is it waited for by who keeps the process alive? */
  get alive(): boolean {
    return this.#alive
  }

  /** Until the next look. Keeps nothing alive. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        stopTimer(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = startTimer(lookMs, wake)
      this.#waiting.add(wake)
    })
  }

  /** Whoever looks now and then looks now. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

/** Is it for lack of room, or because nothing came in time? */
export function isAgain(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'EAGAIN'
}
