// The side of a FIFO that listens. It makes a channel of each writer, one after the other.
//
//   nobody ──first packet──► a writer ──its last packet, or end of file──► nobody
//                              │ first packet of another one: that one was dead already
//                              │ its channel was closed here: it is cut off
//
// A FIFO ends with its last writer. So that it does not end before the first one has come, this side holds it open for writing itself
// (`keeper`) while nobody writes.
//
// A writer hears nothing of this side but that there is nobody any more. So who is to be cut off gets another FIFO put in the place of
// the one that it has open: its next message fails, and others find the new one.

import type { Stats } from 'node:fs'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { native } from '../../addon/native.js'
import { runsOnNode } from '../../addon/runtime.js'
import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import { protocolError } from '../framing.js'
import { Holding } from '../holding.js'
import { inward } from '../one-way.js'
import type { Arrivals, Listening } from '../transport.js'
import { fs, isWritten, leadsTo, takeListening } from '../transports/files.js'
import { net } from '../transports/sockets.js'
import { Flag, Packets, type Packet } from './packets.js'

/** What a writer that was cut off may still have had on its way is read for so long. */
const drainMs = 50
/** Where nobody tells that something has come. */
const napMs = 5
const chunkBytes = 65_536

/** What one writer sends. */
interface Incoming {
  readonly writer: number
  readonly stream: Duplex
  /** Is its channel closed, though it may still write? */
  isDropped: boolean
  /** Why it has ended, if its writer is not to blame, or more than that. */
  reason: Error | undefined
}

/** A FIFO that is open. */
export interface OpenPipe {
  readonly fd: number
  readonly stats: Stats
}

/** @throws MillraceError; errors of Node */
export function openPipe(path: string, address: string): OpenPipe {
  const { O_RDONLY, O_NONBLOCK } = fs().constants
  const fd = fs().openSync(path, O_RDONLY | O_NONBLOCK)
  try {
    const stats = fs().fstatSync(fd)
    if (stats.isFIFO()) return { fd, stats }
    throw noPipe(path, address)
  } catch (error) {
    fs().closeSync(fd)
    throw error
  }
}

export function noPipe(path: string, address: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_EXISTS',
    `at '${address}' is a file that is no FIFO: remove it, or take another path`,
    { path },
  )
}

/** False: there is something already. */
export function makePipe(path: string, mode: number): boolean {
  const error = native.makePipe(path, mode)
  const { errno } = process.getBuiltinModule('node:os').constants
  if (error === errno.EEXIST) return false
  if (error !== 0) {
    const { getSystemErrorName } = process.getBuiltinModule('node:util')
    const code = getSystemErrorName(-error)
    throw Object.assign(new Error(`${code}, mkfifo '${path}'`), {
      code,
      errno: -error,
      syscall: 'mkfifo',
      path,
    })
  }
  fs().chmodSync(path, mode) // whatever the umask took away
  return true
}

export class PipeInlet implements Listening {
  readonly address: string
  readonly #path: string
  readonly #mode: number
  readonly #arrivals: Arrivals
  /** Open for as long as this listens, with the lock that says so. */
  #pipe: OpenPipe
  #made: boolean
  #source: Source | undefined
  #keeper: number | undefined
  readonly #packets = new Packets()
  #current: Incoming | undefined
  /** What comes is dropped until all writers have left. */
  #isDeaf = false
  #cutTimer: Timer | undefined
  #closed = false
  #over = false
  #alive = true
  readonly #holding = new Holding()

  /** `pipe` is locked; `made` says whether this side has made it. */
  constructor(
    where: { readonly address: string; readonly path: string; readonly mode: number },
    { pipe, made }: { readonly pipe: OpenPipe; readonly made: boolean },
    arrivals: Arrivals,
  ) {
    this.address = where.address
    this.#path = where.path
    this.#mode = where.mode
    this.#arrivals = arrivals
    this.#pipe = pipe
    this.#made = made
    // Who wrote to one that listened here before would go on in the middle, and nobody would tell it.
    if (isWritten(pipe.fd) && !this.#renew()) {
      this.#finish()
      throw new MillraceError(
        'ERR_MILLRACE_EXISTS',
        `somebody still writes to '${this.address}' who began with another listener: end that, or remove the FIFO`,
        { path: this.#path },
      )
    }
    try {
      if (this.#source === undefined) this.#begin()
    } catch (error) {
      this.#finish()
      throw error
    }
    this.#holdLoop()
  }

  hold(alive: boolean): void {
    this.#alive = alive
    this.#holdLoop()
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    if (this.#made && leadsTo(this.#path, this.#pipe.stats)) {
      fs().rmSync(this.#path, { force: true })
    }
    if (this.#current === undefined || this.#current.isDropped) this.#finish()
    this.#holdLoop()
    return Promise.resolve()
  }

  /** Its channel is closed here. */
  #dropped(current: Incoming): void {
    if (this.#current !== current || current.isDropped) return
    current.isDropped = true
    if (this.#closed) {
      this.#finish()
      return
    }
    // It may have left already, and its last packet be on its way; or it is dead, and another one's first packet is.
    this.#source?.resume()
    stopTimer(this.#cutTimer)
    this.#cutTimer = startTimer(drainMs, () => {
      if (this.#current === current) this.#cutOff()
    })
  }

  #begin(): void {
    this.#keeper = this.#openKeeper()
    this.#listenTo(openPipe(this.#path, this.address))
  }

  #listenTo({ fd, stats }: OpenPipe): void {
    if (stats.ino !== this.#pipe.stats.ino) {
      fs().closeSync(fd)
      throw this.#removed()
    }
    const heard: Heard = {
      data: (chunk) => {
        if (this.#source === source) this.#data(chunk)
      },
      end: () => {
        if (this.#source === source) this.#ended()
      },
      error: (error) => {
        if (this.#source === source) this.#failed(error)
      },
    }
    const source: Source = runsOnNode ? new SocketSource(fd, heard) : new PolledSource(fd, heard)
    this.#source?.close()
    this.#source = source
  }

  #openKeeper(): number {
    const { O_WRONLY, O_NONBLOCK } = fs().constants
    return fs().openSync(this.#path, O_WRONLY | O_NONBLOCK)
  }

  #dropKeeper(): void {
    if (this.#keeper === undefined) return
    fs().closeSync(this.#keeper)
    this.#keeper = undefined
  }

  #data(chunk: Buffer): void {
    if (this.#isDeaf) return
    const packets = this.#packets.take(chunk)
    if (packets === undefined) {
      this.#foreign()
      return
    }
    // From now on it ends with its last writer.
    this.#dropKeeper()
    for (const packet of packets) {
      this.#packet(packet)
    }
  }

  #packet({ flags, writer, payload }: Packet): void {
    if (this.#isDeaf || this.#over) return
    if ((flags & Flag.first) !== 0) this.#came(writer)
    const current = this.#current
    if (current?.writer !== writer) {
      this.#foreign()
      return
    }
    if (!current.isDropped && payload.length > 0 && !current.stream.push(payload)) {
      this.#source?.pause()
    }
    if ((flags & Flag.last) !== 0) this.#left()
  }

  #came(writer: number): void {
    this.#left()
    const stream = inward(
      () => {
        if (this.#current === current) this.#source?.resume()
      },
      (done) => {
        this.#dropped(current)
        done()
      },
    )
    const current: Incoming = { writer, stream, isDropped: false, reason: undefined }
    this.#current = current
    if (this.#closed || !this.#arrivals.hasRoom()) {
      if (!this.#closed) this.#arrivals.turnedAway()
      stream.destroy()
      return
    }
    this.#arrivals.arrived({
      stream,
      peer: {},
      directions: 'receive',
      why: () => current.reason,
    })
  }

  /** There will be no more of that writer. */
  #left(): void {
    const current = this.#current
    if (current === undefined) return
    stopTimer(this.#cutTimer)
    this.#current = undefined
    if (!current.isDropped) current.stream.push(null)
    if (this.#closed) this.#finish()
  }

  /** All writers have left. */
  #ended(): void {
    if (this.#packets.isPartial) this.#foreign()
    this.#packets.forget()
    this.#isDeaf = false
    this.#left()
    if (this.#over) return
    try {
      this.#dropKeeper()
      this.#begin()
    } catch (error) {
      this.#failed(error as Error)
    }
  }

  /** Something else writes there than this package, or somebody who was not there from the beginning. */
  #foreign(): void {
    this.#packets.forget()
    const current = this.#current
    if (current === undefined || current.isDropped) {
      if (!this.#closed) this.#arrivals.turnedAway('hello')
    } else {
      current.reason = protocolError(
        'does not speak as millrace does: see what else writes to the FIFO',
      )
    }
    this.#cutOff()
  }

  #cutOff(): void {
    this.#left()
    if (this.#over || this.#renew()) return
    this.#isDeaf = true
    this.#source?.resume()
  }

  /** Puts another FIFO in the place of this one. False: this process may not. */
  #renew(): boolean {
    const { uid, mode } = this.#pipe.stats
    if (uid !== process.geteuid?.() || !leadsTo(this.#path, this.#pipe.stats)) return false
    const aside = `${this.#path}.new-${String(process.pid)}`
    const before = this.#pipe
    let pipe: OpenPipe | undefined
    try {
      if (!makePipe(aside, this.#made ? this.#mode : mode & 0o777)) return false
      pipe = openPipe(aside, this.address)
      takeListening(pipe.fd)
      fs().renameSync(aside, this.#path)
    } catch {
      if (pipe !== undefined) fs().closeSync(pipe.fd)
      fs().rmSync(aside, { force: true })
      return false
    }
    this.#pipe = pipe
    this.#made = true
    this.#source?.close()
    this.#source = undefined
    this.#dropKeeper()
    fs().closeSync(before.fd)
    try {
      this.#begin()
    } catch (error) {
      this.#failed(error as Error)
    }
    return true
  }

  #failed(error: Error): void {
    const { code } = error as NodeJS.ErrnoException
    const told = code === 'ENOENT' || code === 'ENXIO' ? this.#removed(error) : error
    if (this.#current !== undefined) this.#current.reason ??= told
    this.#left()
    if (this.#over) return
    this.#finish()
    this.#arrivals.failed(told)
  }

  #removed(cause?: Error): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `somebody has removed '${this.address}' while it was listened at, or put something else there: listen again`,
      { cause, path: this.#path },
    )
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    stopTimer(this.#cutTimer)
    this.#source?.close()
    this.#dropKeeper()
    fs().closeSync(this.#pipe.fd)
    this.#holdLoop()
  }

  #holdLoop(): void {
    this.#holding.hold(this.#alive && !this.#closed && !this.#over)
  }
}

interface Heard {
  data(chunk: Buffer): void
  end(): void
  error(error: Error): void
}

/** A descriptor that is read. */
interface Source {
  pause(): void
  resume(): void
  close(): void
}

class SocketSource implements Source {
  readonly #socket: Socket

  constructor(fd: number, heard: Heard) {
    const socket = new (net().Socket)({ fd, readable: true, writable: false })
    this.#socket = socket
    socket.unref()
    socket.on('data', (chunk: Buffer) => {
      heard.data(chunk)
    })
    socket.on('end', () => {
      heard.end()
    })
    socket.on('error', (error) => {
      heard.error(error)
    })
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Looks whether something has come: not every runtime tells. */
class PolledSource implements Source {
  readonly #fd: number
  readonly #heard: Heard
  #timer: Timer | undefined
  #paused = false
  #closed = false

  constructor(fd: number, heard: Heard) {
    this.#fd = fd
    this.#heard = heard
    this.#lookIn(0)
  }

  pause(): void {
    this.#paused = true
    stopTimer(this.#timer)
  }

  resume(): void {
    if (!this.#paused || this.#closed) return
    this.#paused = false
    this.#lookIn(0)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    stopTimer(this.#timer)
    fs().closeSync(this.#fd)
  }

  #lookIn(milliseconds: number): void {
    stopTimer(this.#timer)
    this.#timer = startTimer(milliseconds, () => {
      this.#look()
    })
  }

  #look(): void {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes)
    let length: number
    try {
      length = fs().readSync(this.#fd, chunk, 0, chunkBytes, null)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') this.#lookIn(napMs)
      else this.#heard.error(error as Error)
      return
    }
    if (length === 0) {
      this.#heard.end()
      return
    }
    this.#heard.data(chunk.subarray(0, length))
    if (!this.#paused && !this.#closed) this.#lookIn(0)
  }
}
