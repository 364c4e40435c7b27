// A server of gRPC at one address, for all that this process serves there: it listens as long as something is served.

import type { Server, Socket } from 'node:net'
import type { TlsOptions, TLSSocket } from 'node:tls'

import { startTimer, stopTimer } from '../../base/time.js'
import { invalidArgument, MillraceError } from '../../errors.js'
import { refusal } from '../../net/refusals.js'
import { listenAtPath, readyPath } from '../../net/transports/socket-file.js'
import type { EngineConnection } from '../port.js'
import {
  Answering,
  SingleAnswering,
  type AnyAnswering,
  type Packing,
  type TakenCall,
} from './answering.js'
import { BundledAnswers } from './bundled-answers.js'
import { bundledNames, bundledPath } from './bundle.js'
import { Health, healthService, Serving } from './health.js'
import { grpcLibrary, Status, type GrpcInjector, type GrpcServer } from './library.js'
import type { GrpcPlace } from './place.js'
import { refusalAs } from './status.js'
import { bytesOf, readFields, textOf, writeFields } from './wire.js'

/** Connections at a time, and bytes of a call's names in its metadata: as the other transports have it. */
const mostConnections = 1024
/** Milliseconds until a connection has to be a secure one, and until one that is closed has ended. */
const handshakeMs = 5000
const graceMs = 5000
/** Rights of a socket of this machine. */
const ownersOnly = 0o600

/** What is served under one name. */
export interface Service {
  readonly name: string
  /** Bytes of a message that comes, at the most. */
  readonly maxBytes: number
  readonly methods: ReadonlySet<string>
  /** Of those, the ones that take many values. */
  readonly many: ReadonlySet<string>
  /** And those that take one, and return one. */
  readonly single: ReadonlySet<string>
  /** No more calls come. */
  readonly leaving: boolean
  called(call: TakenCall, method: string, input: Uint8Array): void
}

/** Of our own, for languages whose libraries want a .proto: see proto/millrace.proto. */
const callsService = 'millrace.Calls'
const callsMethods = ['Call', 'Stream', 'Upload', 'Duplex'] as const

/** Those that listen, or are about to, by where they do. */
const hosts = new Map<string, Promise<Host>>()

/**
 * The one at that address, which is made if there is none.
 *
 * @throws MillraceError (as rejection) `EXISTS` (somebody else listens there), `UNREACHABLE`, `PERMISSION`, `INVALID_ARGUMENT`
 */
export async function hostAt(place: GrpcPlace, connection: EngineConnection): Promise<Host> {
  const key = keyOf(place, place.port)
  const there = hosts.get(key)
  if (there !== undefined) {
    const host = await there
    if (!host.closed) return host.assertSame(place, connection)
  }
  const host = new Host(place, connection)
  const made = host.listen().then(() => host)
  if (place.port !== 0 || place.path !== undefined) hosts.set(key, made)
  try {
    await made
    // Any port has become one that others of this process may name.
    hosts.set(keyOf(place, host.port), made)
    return host
  } catch (error) {
    hosts.delete(key)
    throw error
  }
}

function keyOf({ path, host }: GrpcPlace, port: number): string {
  return path ?? `${host} ${String(port)}`
}

export class Host {
  readonly #place: GrpcPlace
  readonly #connection: EngineConnection
  readonly #services = new Map<string, Service>()
  readonly #server: GrpcServer
  readonly #injector: GrpcInjector
  readonly #sockets = new Set<Socket>()
  readonly #held = new Set<Service>()
  readonly #ended = new Set<(error: Error) => void>()
  /** Streams of many calls each, by what they call. */
  readonly #bundled = new Map<Service, Set<BundledAnswers>>()
  readonly #health = new Health((service) => this.#statusOf(service))
  #listener!: Server
  #closed = false

  constructor(place: GrpcPlace, connection: EngineConnection) {
    this.#place = place
    this.#connection = connection
    const { Server, ServerCredentials } = grpcLibrary()
    this.#server = new Server({
      'grpc.max_receive_message_length': connection.maxBytes,
      'grpc.max_send_message_length': -1, // judged before
      'grpc.enable_channelz': 0,
      ...(connection.heartbeat === undefined || connection.heartbeat === 0
        ? {}
        : {
            'grpc.keepalive_time_ms': Math.ceil(connection.heartbeat / 2),
            'grpc.keepalive_timeout_ms': Math.ceil(connection.heartbeat / 2),
          }),
    })
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure())
    this.#register(healthService, 'Check', (call) => this.#health.check(call))
    this.#register(healthService, 'Watch', (call) => this.#health.watch(call))
    for (const method of callsMethods) this.#registerPacked(method)
    this.#registerBundled()
  }

  get port(): number {
    const address = this.#listener.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get connections(): number {
    return this.#sockets.size
  }

  get closed(): boolean {
    return this.#closed
  }

  /** What was served by a process that has other options is not what is asked for. */
  assertSame({ shown }: GrpcPlace, { tls, maxBytes }: EngineConnection): this {
    const own = Object.entries(this.#connection.tls ?? {})
    const given = new Map(Object.entries(tls ?? {}))
    const isSame = own.length === given.size && own.every(([key, one]) => given.get(key) === one)
    if (isSame && maxBytes === this.#connection.maxBytes) return this
    throw invalidArgument(
      `'${shown}': this process serves something there already, with another tls or maxBytes: give both the same, or take another address`,
    )
  }

  async listen(): Promise<void> {
    const { path, host, port, address, secure } = this.#place
    const listener = secure ? this.#secureListener() : this.#plainListener()
    this.#listener = listener
    listener.maxConnections = mostConnections
    try {
      if (path !== undefined) await readyPath(path, address.text)
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject)
        listener.once('listening', () => {
          listener.removeListener('error', reject)
          resolve()
        })
        if (path === undefined) listener.listen({ host, port })
        else listenAtPath(listener, path, ownersOnly)
      })
    } catch (error) {
      this.#closed = true
      this.#injector.destroy()
      const scheme = path === undefined ? 'tcp' : 'unix'
      throw refusal(error, { ...address, scheme, rest: path ?? address.rest }, 'listen')
    }
    // Of one connection that could not be taken; the listener goes on.
    listener.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EMFILE' && error.code !== 'ENFILE') this.#failed(error)
    })
    this.#hold()
  }

  /**
   * Serves one thing more; `ended` hears if it ends by itself.
   *
   * @throws MillraceError `EXISTS`
   */
  add(service: Service, ended: (error: Error) => void): void {
    const { name, methods } = service
    if (this.#services.has(name)) {
      throw new MillraceError(
        'ERR_MILLRACE_EXISTS',
        `this process serves '${name}' at '${this.#place.shown}' already: close that, or take another name`,
      )
    }
    this.#services.set(name, service)
    this.#ended.add(ended)
    for (const method of methods) {
      if (service.single.has(method)) this.#registerSingle(service, method)
      else this.#register(name, method, (call) => this.#begin(call, service, method))
    }
    this.#health.changed()
  }

  /** That is not served any more; with the last one the listener ends. */
  remove(service: Service, ended: (error: Error) => void): void {
    if (this.#services.get(service.name) !== service) return
    this.#services.delete(service.name)
    this.#ended.delete(ended)
    this.#held.delete(service)
    for (const method of service.methods) this.#server.unregister(`/${service.name}/${method}`)
    for (const answers of [...(this.#bundled.get(service) ?? [])]) {
      answers.end({ code: Status.unavailable, details: 'the server has closed' })
    }
    this.#health.changed()
    if (this.#services.size === 0) this.#close()
    else this.#hold()
  }

  /** Some of it changes its mind: it takes calls no more. */
  changed(): void {
    this.#health.changed()
  }

  hold(service: Service, alive: boolean): void {
    if (alive) this.#held.add(service)
    else this.#held.delete(service)
    this.#hold()
  }

  #hold(): void {
    if (this.#held.size > 0) this.#listener.ref()
    else this.#listener.unref()
  }

  #failed(error: Error): void {
    const ended = [...this.#ended]
    this.#close()
    for (const tell of ended) tell(error)
  }

  /** What is on its way ends first, if it does so soon. */
  #close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const [key, made] of hosts) {
      void made.then(
        (host) => {
          if (host === this && hosts.get(key) === made) hosts.delete(key)
        },
        () => undefined,
      )
    }
    this.#listener.close()
    this.#injector.destroy()
    if (this.#sockets.size === 0) return
    const timer = startTimer(graceMs, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    for (const socket of this.#sockets) {
      socket.ref()
      socket.once('close', () => {
        if (this.#sockets.size === 0) stopTimer(timer)
      })
    }
  }

  #plainListener(): Server {
    return process.getBuiltinModule('node:net').createServer((socket) => {
      this.#took(socket)
      this.#injector.injectConnection(socket)
    })
  }

  #secureListener(): Server {
    const given = this.#connection.tls as TlsOptions | undefined
    const { address } = this.#place
    if (given?.key === undefined && given?.pfx === undefined && given?.SNICallback === undefined) {
      throw invalidArgument(
        `'${address.text}' needs a certificate: give tls: { key, cert } as options of the connection, as node:tls takes them`,
      )
    }
    const mutual = given.requestCert === true ? { rejectUnauthorized: true } : {}
    const options = { ...given, ...mutual, ALPNProtocols: ['h2'], handshakeTimeout: handshakeMs }
    const tls = process.getBuiltinModule('node:tls')
    try {
      const server = tls.createServer(options, (socket: TLSSocket) => {
        this.#took(socket)
        this.#injector.injectConnection(socket)
      })
      server.on('tlsClientError', (_error, socket) => {
        socket.destroy()
      })
      return server
    } catch (error) {
      throw refusal(error, { ...address, scheme: 'tls' }, 'listen')
    }
  }

  /** Clients do not keep a process alive that would end otherwise: the listener does. */
  #took(socket: Socket): void {
    socket.on('error', () => undefined) // what comes of it, its calls are told
    socket.setNoDelay(true)
    socket.unref()
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
    })
  }

  #register(
    service: string,
    method: string,
    act: (call: Answering) => Promise<void>,
    packing?: Packing,
  ): void {
    const same = (bytes: Buffer): Buffer => bytes
    this.#server.register(
      `/${service}/${method}`,
      (stream) => {
        const call = new Answering(stream, packing)
        act(call).catch((error: unknown) => {
          // Nobody waits any more, or it was none of the messages that are sent here.
          const details = (error as Error).message
          call.fail({ code: Status.invalidArgument, details })
        })
      },
      same,
      same,
      'bidi',
    )
  }

  /** As the library has it for one message each way, it needs no stream for what comes, and no waiting. */
  #registerSingle(service: Service, method: string): void {
    const same = (bytes: Buffer): Buffer => bytes
    this.#server.register(
      `/${service.name}/${method}`,
      (stream, answer) => {
        const call = new SingleAnswering(stream, answer)
        if (service.leaving) refuseLeaving(call, service.name)
        else service.called(call, method, stream.request)
      },
      same,
      same,
      'unary',
    )
  }

  async #begin(call: Answering, service: Service, method: string): Promise<void> {
    if (service.leaving) {
      refuseLeaving(call, service.name)
      return
    }
    const input = service.many.has(method) ? new Uint8Array(0) : await call.next()
    if (input === undefined) {
      call.fail({
        code: Status.invalidArgument,
        details: `${method}() of '${service.name}' takes one message, and none came`,
      })
      return
    }
    service.called(call, method, input)
  }

  /** The first message names what is called. */
  #registerPacked(method: string): void {
    const same = (bytes: Buffer): Buffer => bytes
    this.#server.register(
      `/${callsService}/${method}`,
      (stream) => {
        const packing = new CallsPacking()
        const call = new Answering(stream, packing)
        this.#beginPacked(call, packing).catch((error: unknown) => {
          call.fail({ code: Status.invalidArgument, details: (error as Error).message })
        })
      },
      same,
      same,
      'bidi',
    )
  }

  /** A gateway that calls keeps one of them open. */
  #registerBundled(): void {
    const same = (bytes: Buffer): Buffer => bytes
    this.#server.register(
      bundledPath,
      (stream) => {
        const [name] = stream.metadata.get(bundledNames.service)
        const service = this.#services.get(String(name))
        if (service === undefined) {
          const details = `nobody serves '${String(name)}' here`
          stream.emit('error', { code: Status.notFound, details })
          return
        }
        let all = this.#bundled.get(service)
        if (all === undefined) this.#bundled.set(service, (all = new Set()))
        const those = all
        const answers: BundledAnswers = new BundledAnswers(stream, service, () => {
          those.delete(answers)
          if (those.size === 0) this.#bundled.delete(service)
        })
        those.add(answers)
      },
      same,
      same,
      'bidi',
    )
  }

  async #beginPacked(call: Answering, packing: CallsPacking): Promise<void> {
    const first = await call.next()
    if (first === undefined) {
      call.fail({ code: Status.invalidArgument, details: 'no message came that names a function' })
      return
    }
    const { service: name, method } = packing
    const service = this.#services.get(name)
    if (service?.methods.has(method) !== true) {
      const details = `nobody serves '${method}' of '${name}' here: the first message names both`
      call.fail({ code: Status.unimplemented, details })
      return
    }
    if (service.leaving) {
      refuseLeaving(call, name)
      return
    }
    if (service.many.has(method)) call.putBack(first)
    service.called(call, method, first)
  }

  #statusOf(service: string): (typeof Serving)[keyof typeof Serving] {
    if (service === '') {
      const some = [...this.#services.values()].some(({ leaving }) => !leaving)
      return some ? Serving.yes : Serving.no
    }
    const found = this.#services.get(service)
    if (found === undefined) return Serving.unknown
    return found.leaving ? Serving.no : Serving.yes
  }
}

function refuseLeaving(call: AnyAnswering, service: string): void {
  call.error(refusalAs(`the server of '${service}' is closing, and takes no more calls`), true)
}

/** `Request { string service = 1; string method = 2; bytes input = 3 }`, `Response { bytes output = 1 }` */
class CallsPacking implements Packing {
  service = ''
  method = ''

  unpack(message: Uint8Array): Uint8Array {
    const fields = readFields(message)
    if (this.service === '') {
      this.service = textOf(fields, 1)
      this.method = textOf(fields, 2)
    }
    return bytesOf(fields, 3)
  }

  pack(bytes: Uint8Array): Uint8Array {
    return writeFields([[1, bytes]])
  }
}
