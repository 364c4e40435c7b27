// Questions to the server of which many are on their way: one inbox for all their answers, and one timer for those that do not come. The
// library's own way makes an error, a timer and a random name for each.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import type { NatsConnection, NatsHeaders, NatsLibrary, NatsMessage } from './library.js'

/** Milliseconds between two looks for answers that are late. */
const lookMs = 500
const nobodyListens = 503

interface Asked {
  readonly subject: string
  readonly due: number
  resolve(data: Uint8Array): void
  reject(error: Error): void
}

export class Answers {
  readonly #nats: NatsConnection
  readonly #inbox: string
  readonly #waitMs: number
  /** In the order in which they were asked, so those that are due first are in front. */
  readonly #asked = new Map<string, Asked>()
  #last = 0
  #timer: Timer | undefined

  /** All have `waitMs` to come. */
  constructor(nats: NatsConnection, library: NatsLibrary, waitMs: number) {
    this.#nats = nats
    this.#waitMs = waitMs
    this.#inbox = `${library.createInbox()}.`
    nats.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#arrived(message)
        else this.end(error)
      },
    })
  }

  /** Rejects as the library does: `NoResponders`, `TimeoutError`, and what it throws when the connection has ended. */
  ask(subject: string, bytes: Uint8Array, headers?: NatsHeaders): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const token = (++this.#last).toString(36)
      const reply = this.#inbox + token
      this.#nats.publish(subject, bytes, headers === undefined ? { reply } : { reply, headers })
      this.#asked.set(token, { subject, due: now() + this.#waitMs, resolve, reject })
      if (this.#asked.size === 1) this.#look()
    })
  }

  /** The server refuses what was sent to a subject: the first that waits for an answer is told. */
  refused(subject: string, error: Error): void {
    for (const [token, asked] of this.#asked) {
      if (asked.subject !== subject) continue
      this.#asked.delete(token)
      asked.reject(error)
      return
    }
  }

  /** No answers come any more. */
  end(error: Error): void {
    stopTimer(this.#timer)
    const all = [...this.#asked.values()]
    this.#asked.clear()
    for (const asked of all) asked.reject(error)
  }

  #arrived({ subject, data, headers }: NatsMessage): void {
    const token = subject.slice(this.#inbox.length)
    const asked = this.#asked.get(token)
    if (asked === undefined) return
    this.#asked.delete(token)
    if (data.length === 0 && headers?.code === nobodyListens) {
      asked.reject(named('NoResponders', `no responders: '${asked.subject}'`))
    } else {
      asked.resolve(data)
    }
  }

  #look(): void {
    stopTimer(this.#timer)
    this.#timer = startTimer(lookMs, () => {
      const time = now()
      for (const [token, asked] of this.#asked) {
        if (asked.due > time) break
        this.#asked.delete(token)
        asked.reject(named('TimeoutError', 'timeout'))
      }
      if (this.#asked.size > 0) this.#look()
    })
  }
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
