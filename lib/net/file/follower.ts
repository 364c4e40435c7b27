// The side of a log that reads, as a stream: records come out as framing.ts has messages. At the end it waits for more: the system tells
// that the file has changed, and now and then it is looked at, since not every file system tells.
//
// A record that is not all there is not there yet: its writer is at it, or has died, and the next one cuts it off. So nothing of it
// is kept, and it is read again when there is more. What is wrong is looked at several times, as a cut may be on its way.

import type { FSWatcher } from 'node:fs'
import type { Duplex } from 'node:stream'

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { frameOf, helloOf, Kind } from '../framing.js'
import { inward } from '../one-way.js'
import { fs } from '../transports/files.js'
import type { LogFile } from './appender.js'
import {
  checkFileHead,
  crc32,
  damaged,
  fileHead,
  headBytes,
  isZero,
  readAt,
  readHead,
} from './records.js'

const windowBytes = 262_144
/** How often is looked where the system tells, and where it does not. */
const toldMs = 1000
const untoldMs = 50
/** For how long, and how often, something wrong is looked at again. */
const longestDoubtMs = 200
const doubtMs = 20

type Found = 'more' | 'end' | 'doubt' | 'over'

export class Follower {
  readonly stream: Duplex
  readonly #file: LogFile
  readonly #follow: boolean
  readonly #maxBytes: number
  #offset: number
  /** Whole records that were read and not handed on yet. */
  #window: Buffer = Buffer.alloc(0)
  /** Was the first of them judged? */
  #isJudged = false
  #isOurs = false
  #wanted = false
  #busy = false
  /** Something may have changed while it was busy. */
  #stirred = false
  /** Since when something is wrong. */
  #doubtedAt: number | undefined
  #isOver = false
  #watcher: FSWatcher | undefined
  #timer: Timer | undefined
  #closed: (() => void) | undefined
  /** Why it has ended. */
  reason: Error | undefined

  /** The descriptor is its own from now on; `offset`: of the first record that is read. */
  constructor(file: LogFile, offset: number, limits: { follow: boolean; maxBytes: number }) {
    this.#file = file
    this.#offset = Math.max(offset, fileHead.length)
    this.#follow = limits.follow
    this.#maxBytes = limits.maxBytes
    this.stream = inward(
      () => {
        this.#wanted = true
        this.#stir()
      },
      (done) => {
        this.#close(done)
      },
    )
    this.stream.push(helloOf({ maxBytes: limits.maxBytes, heartbeat: 0, marks: false }))
  }

  #close(done: () => void): void {
    this.#isOver = true
    stopTimer(this.#timer)
    this.#watcher?.close()
    this.#closed = () => {
      fs().closeSync(this.#file.fd)
      done()
    }
    if (!this.#busy) this.#closed()
  }

  #stir(): void {
    this.#stirred = true
    if (!this.#busy && !this.#isOver && this.#wanted) void this.#run()
  }

  #mayGoOn(): boolean {
    return this.#wanted && !this.#isOver
  }

  async #run(): Promise<void> {
    this.#busy = true
    try {
      while (this.#stirred && this.#mayGoOn()) {
        this.#stirred = false
        let found: Found = 'more'
        while (found === 'more' && this.#mayGoOn()) found = await this.#step()
        if (found === 'end') this.#atEnd()
        if (found === 'doubt') this.#lookIn(doubtMs)
      }
    } catch (error) {
      this.#fail(error as Error)
    }
    this.#busy = false
    if (this.#closed !== undefined) this.#closed()
    else if (this.#stirred) this.#stir()
  }

  async #step(): Promise<Found> {
    if (!this.#isOurs) {
      this.#isOurs = await checkFileHead(this.#file.fd, this.#file.address)
      if (!this.#isOurs) return 'end'
    }
    if (this.#window.length > 0) {
      this.#handOn()
      return 'more'
    }
    const { size } = fs().fstatSync(this.#file.fd)
    if (size < this.#offset) {
      throw damaged(this.#file.address, size, `it was cut off there, and had been longer`)
    }
    if (size - this.#offset < headBytes) return 'end'
    const first = await readAt(
      this.#file.fd,
      this.#offset,
      Math.min(windowBytes, size - this.#offset),
    )
    return await this.#judge(first, size)
  }

  /** What was read from `#offset` on, of a file that has `size` bytes. */
  async #judge(bytes: Buffer, size: number): Promise<Found> {
    if (bytes.length < headBytes) return 'end'
    const head = readHead(bytes, 0, this.#offset)
    if (head === undefined) {
      if (isZero(bytes)) return 'end' // what a machine that lost its power leaves
      return this.#doubt('there is no record')
    }
    if (head.length > this.#maxBytes) {
      // Its length is all that the channel needs to refuse it.
      this.#handOver(bytes.subarray(8, headBytes))
      this.#isOver = true
      return 'over'
    }
    const length = headBytes + head.length
    if (length > size - this.#offset) return 'end'
    if (length > bytes.length) {
      const whole = await readAt(this.#file.fd, this.#offset, length)
      return whole.length < length ? 'end' : await this.#judge(whole, size)
    }
    if (crc32(bytes.subarray(headBytes, length)) !== head.crc) {
      // Nothing behind it: the next writer cuts it off.
      const isLast = this.#offset + length === size
      if (isLast && this.#isCertain()) return 'end'
      return this.#doubt('the bytes of the record are not those that were written')
    }
    this.#doubtedAt = undefined
    this.#window = bytes
    this.#isJudged = true
    return 'more'
  }

  #isCertain(): boolean {
    this.#doubtedAt ??= now()
    return now() - this.#doubtedAt >= longestDoubtMs
  }

  #doubt(what: string): Found {
    if (!this.#isCertain()) return 'doubt'
    throw damaged(this.#file.address, this.#offset, what)
  }

  /** The whole records at the beginning of the window. */
  #handOn(): void {
    const bytes = this.#window
    let at = 0
    while (this.#wanted) {
      const head = bytes.length - at < headBytes ? undefined : readHead(bytes, at, this.#offset)
      const end = at + headBytes + (head?.length ?? 0)
      const isWhole = head !== undefined && end <= bytes.length && head.length <= this.#maxBytes
      const isRight =
        isWhole && (this.#isJudged || crc32(bytes.subarray(at + headBytes, end)) === head.crc)
      if (!isRight) {
        // What is left is read again: it may be another one by then.
        at = bytes.length
        break
      }
      this.#isJudged = false
      this.#handOver(bytes.subarray(at + 8, end))
      this.#offset += end - at
      at = end
    }
    this.#window = bytes.subarray(at)
  }

  /** As framing.ts has it: the length of a message, and its bytes. */
  #handOver(frame: Buffer): void {
    this.#wanted = this.stream.push(frame)
  }

  #atEnd(): void {
    if (!this.#follow) {
      this.#isOver = true
      this.stream.push(frameOf(Kind.end))
      this.stream.push(null)
      return
    }
    this.#watch()
    this.#lookIn(this.#watcher === undefined ? untoldMs : toldMs)
  }

  #watch(): void {
    if (this.#watcher !== undefined || this.#isOver) return
    try {
      const watcher = fs().watch(this.#file.path, { persistent: false }, () => {
        this.#stir()
      })
      this.#watcher = watcher
      watcher.on('error', () => {
        watcher.close()
      })
      // What came before it watched.
      this.#stirred = true
    } catch {
      // Too many watchers, or a runtime without: it is looked at more often.
    }
  }

  #lookIn(milliseconds: number): void {
    stopTimer(this.#timer)
    if (this.#isOver) return
    this.#timer = startTimer(milliseconds, () => {
      this.#stir()
    })
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.reason = error
    this.stream.push(null)
  }
}
