// grpc.health.v1.Health: whether something is served, for whoever asks or watches.
//
//   HealthCheckRequest { string service = 1 } · HealthCheckResponse { ServingStatus status = 1 }

import type { Answering } from './answering.js'
import { Status } from './library.js'
import { readFields, textOf, writeFields } from './wire.js'

export const Serving = { yes: 1, no: 2, unknown: 3 } as const

export type ServingStatus = (typeof Serving)[keyof typeof Serving]

export const healthService = 'grpc.health.v1.Health'

export class Health {
  /** By the names of services; what is not there is unknown. */
  readonly #of: (service: string) => ServingStatus
  readonly #watching = new Set<() => void>()

  constructor(of: (service: string) => ServingStatus) {
    this.#of = of
  }

  /** Something is served now, or is not any more. */
  changed(): void {
    for (const tell of this.#watching) tell()
  }

  async check(call: Answering): Promise<void> {
    const service = await serviceOf(call)
    const status = this.#of(service)
    if (status === Serving.unknown) {
      call.fail({ code: Status.notFound, details: `there is no service '${service}' here` })
    } else {
      call.result(writeFields([[1, status]]))
    }
  }

  /** What it is now, and then each change, for as long as somebody watches. */
  async watch(call: Answering): Promise<void> {
    const service = await serviceOf(call)
    let told: ServingStatus | undefined
    let changed: (() => void) | undefined
    const tell = (): void => changed?.()
    this.#watching.add(tell)
    try {
      for (;;) {
        const status = this.#of(service)
        if (status !== told) {
          told = status
          await call.send(writeFields([[1, status]]))
          continue
        }
        await new Promise<void>((resolve, reject) => {
          changed = resolve
          call.signal.addEventListener(
            'abort',
            () => {
              reject(call.signal.reason as Error)
            },
            { once: true },
          )
        })
      }
    } finally {
      this.#watching.delete(tell)
    }
  }
}

/** Throws if that is no request. */
async function serviceOf(call: Answering): Promise<string> {
  return textOf(readFields((await call.next()) ?? new Uint8Array(0)), 1)
}
