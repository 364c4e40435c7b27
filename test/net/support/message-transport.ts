// A transport that carries whole messages, within this process: as small as a transport can be.

import { MillraceError } from 'millrace'
import { registerTransport, type Arrivals, type LinkEvents, type MessageLink } from 'millrace/net'

type Step = () => void

/** What becomes of a message on its way, in the place of being delivered once and whole. */
export type Fault = 'lost' | 'twice' | 'late' | 'changed'

/** One side. What is sent waits here until the other side takes it. */
class Side implements MessageLink {
  readonly maxBytes: number
  other!: Side
  readonly #coming: Step[] = []
  #events: LinkEvents | undefined
  #paused = false
  #due = false
  #over = false
  /** Delivered behind the next one. */
  #late: Uint8Array | undefined
  readonly #fault: (message: Buffer) => Fault | undefined
  readonly end?: (sent: () => void) => void

  constructor(maxBytes: number, { halfCloses, fault = () => undefined }: MessagesOptions) {
    this.maxBytes = maxBytes
    this.#fault = fault
    if (!halfCloses) return
    this.end = (sent) => {
      this.other.comes(() => {
        this.other.#events!.ended()
        sent()
      })
    }
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#go()
  }

  send(message: Uint8Array, sent: () => void): void {
    const bytes = Uint8Array.from(message)
    this.other.comes(() => {
      for (const one of this.#faulty(bytes)) this.other.#events!.message(one)
      sent()
    })
  }

  #faulty(bytes: Uint8Array): readonly Uint8Array[] {
    const late = this.#late
    this.#late = undefined
    const behind = late === undefined ? [] : [late]
    switch (this.#fault(Buffer.from(bytes))) {
      case undefined:
        return [bytes, ...behind]
      case 'lost':
        return behind
      case 'twice':
        return [bytes, Uint8Array.from(bytes), ...behind]
      case 'late':
        this.#late = bytes
        return behind
      case 'changed':
        return [bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)), ...behind]
    }
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#go()
  }

  close(): void {
    this.other.comes(() => {
      this.other.#closed()
      this.#closed()
    })
  }

  destroy(): void {
    this.#over = true
    // What came before can be received.
    this.other.comes(() => {
      this.other.#closed(new Error('the other side was destroyed'))
    })
  }

  comes(step: Step): void {
    if (this.#over) return
    this.#coming.push(step)
    this.#go()
  }

  #closed(error?: Error): void {
    if (this.#over) return
    this.#over = true
    this.#events?.closed(error)
  }

  #go(): void {
    if (this.#due || this.#paused || this.#events === undefined) return
    const step = this.#coming.shift()
    if (step === undefined) return
    this.#due = true
    setImmediate(() => {
      this.#due = false
      step()
      this.#go()
    })
  }
}

export interface MessagesOptions {
  readonly halfCloses: boolean
  /** Is it a transport that is broken? */
  readonly fault?: (message: Buffer) => Fault | undefined
}

/** Registers it, once in a process. */
export function registerMessages(scheme: string, options: MessagesOptions): void {
  const listening = new Map<string, { arrivals: Arrivals; maxBytes: number }>()
  registerTransport({
    scheme,
    traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },
    check({ rest, text }) {
      if (rest === '')
        throw new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', `'${text}' has no name`)
    },
    async connect({ rest }, given, signal) {
      await Promise.resolve()
      signal.throwIfAborted()
      const there = listening.get(rest)
      if (there?.arrivals.hasRoom() !== true) {
        throw Object.assign(new Error('nobody is there'), { code: 'ECONNREFUSED' })
      }
      // Each sends what the other one takes.
      const near = new Side(there.maxBytes, options)
      const far = new Side(given.maxBytes, options)
      near.other = far
      far.other = near
      there.arrivals.arrived({ link: far, peer: { pid: process.pid } })
      return { link: near, peer: { pid: process.pid } }
    },
    listen({ rest, text }, { maxBytes }, arrivals) {
      if (listening.has(rest)) {
        return Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' }))
      }
      listening.set(rest, { arrivals, maxBytes })
      return Promise.resolve({
        address: text,
        close: () => {
          listening.delete(rest)
          return Promise.resolve()
        },
        hold: () => undefined,
      })
    },
  })
}
