// What is served under one name, at the server of its address.

import { MillraceError } from '../../errors.js'
import type { EngineCall, EngineCalls, EngineConnection } from '../port.js'
import type { TakenCall } from './answering.js'
import { hostAt, type Host, type Service } from './host.js'
import type { GrpcPlace } from './place.js'

/** @throws MillraceError (as rejection) as `hostAt` */
export async function grpcServes(
  place: GrpcPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineCalls> {
  signal.throwIfAborted()
  return new GrpcServes(await hostAt(place, connection), place, connection.maxBytes)
}

class GrpcServes implements EngineCalls, Service {
  readonly name: string
  readonly maxBytes: number
  readonly ended: Promise<Error | undefined>
  methods: ReadonlySet<string> = new Set()
  many: ReadonlySet<string> = new Set()
  single: ReadonlySet<string> = new Set()
  leaving = false
  readonly #host: Host
  readonly #place: GrpcPlace
  readonly #calls = new Set<TakenCall>()
  readonly #failed = (error: Error): void => {
    this.#end(
      new MillraceError(
        'ERR_MILLRACE_UNREACHABLE',
        `the server at '${this.#place.shown}' has ended: ${error.message}`,
        { cause: error },
      ),
    )
  }
  #called: ((call: EngineCall) => void) | undefined
  #tellEnd!: (why: Error | undefined) => void
  #closed = false

  constructor(host: Host, place: GrpcPlace, maxBytes: number) {
    this.#host = host
    this.#place = place
    this.name = place.name
    this.maxBytes = maxBytes
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve
    })
  }

  get address(): string {
    const { path, shown, port, address } = this.#place
    if (path !== undefined || port !== 0) return shown
    const found = /^(\[[^\]]*\]|[^:/]*)/.exec(address.rest)![0]
    return `${address.scheme}://${found}:${String(this.#host.port)}/${this.name}`
  }

  get connections(): number {
    return this.#host.connections
  }

  get closed(): boolean {
    return this.#closed
  }

  /** @throws MillraceError (as rejection) `EXISTS` */
  async serve(
    methods: readonly string[],
    called: (call: EngineCall) => void,
    many: ReadonlySet<string> = new Set(),
    single: ReadonlySet<string> = new Set(),
  ): Promise<void> {
    this.methods = new Set(methods)
    this.many = many
    this.single = single
    this.#called = called
    this.#host.add(this, this.#failed)
    await Promise.resolve()
  }

  called(call: TakenCall, method: string, input: Uint8Array): void {
    this.#calls.add(call)
    call.onOver(() => {
      this.#calls.delete(call)
    })
    this.#called!(call.asCall(method, input))
  }

  unserve(): void {
    if (this.leaving) return
    this.leaving = true
    this.#host.changed()
  }

  close(): void {
    this.#end(undefined)
  }

  hold(alive: boolean): void {
    if (!this.#closed) this.#host.hold(this, alive)
  }

  async call(): Promise<never> {
    return await Promise.reject(
      new MillraceError('ERR_MILLRACE_UNSUPPORTED', 'this connection serves, and does not call'),
    )
  }

  #end(why: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    for (const call of [...this.#calls]) call.cut()
    this.#host.remove(this, this.#failed)
    this.#tellEnd(why)
  }
}
