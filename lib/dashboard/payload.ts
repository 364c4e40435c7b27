// What is in channels, for who asked for it by `payload`: the newest frame as a picture, the newest messages as text. It is read by who
// takes no part in the channel, for as long as somebody looks.

import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { ChannelWatch, WatchedMessage } from '../telemetry/watch.js'
import { json, nothing, text, type Answer } from './answers.js'
import { guess, longestSide, pictureOf, type Shape } from './pictures.js'
import { formats, type Format, type Peeked } from './wire.js'

/** Nobody has asked for so long: nobody looks any more. */
const idleMs = 5000
/** A frame that another page has been shown so short a time ago is new enough. */
const freshMs = 50
const mostMessages = 20
const mostText = 200
/** Of one look: who sends more than that is too fast to be read. */
const mostRead = 1024

interface Open {
  watch: ChannelWatch
  /** The newest last. */
  readonly newest: WatchedMessage[]
  timer: Timer
}

interface Shown {
  readonly at: number
  readonly frame: WatchedMessage | undefined
}

export class Payload {
  readonly #open = new Map<string, Open>()
  readonly #shown = new Map<string, Shown>()

  close(): void {
    for (const { watch, timer } of this.#open.values()) {
      stopTimer(timer)
      watch.close()
    }
    this.#open.clear()
    this.#shown.clear()
  }

  /** @throws MillraceError */
  picture(name: string, query: URLSearchParams): Answer {
    const wanted = shapeOf(query)
    if (typeof wanted === 'string') return text(400, wanted)
    const newest = this.#newestFrame(name)
    if (newest === undefined || query.get('after') === String(newest.sequence)) return nothing
    const found = guess(newest.bytes, wanted.format)
    const { format = found?.format, width = found?.width, height = found?.height } = wanted
    if (format === undefined || width === undefined || height === undefined) {
      return text(
        400,
        `the frame has ${String(newest.length)} bytes, which is no usual size: say its format, width and height`,
      )
    }
    const { pixels, ...picture } = pictureOf(newest.bytes, { format, width, height })
    return {
      status: 200,
      type: format === 'JPEG' ? 'image/jpeg' : 'application/octet-stream',
      body: pixels,
      headers: {
        'X-Picture': JSON.stringify({
          ...picture,
          sequence: String(newest.sequence),
          bytes: newest.length,
          age: ageOf(newest),
        }),
      },
    }
  }

  /** @throws MillraceError */
  messages(kind: string, name: string): Answer {
    return json(this.#read(kind, name).map(peeked))
  }

  /** The frames before it are none of anybody's business: each look begins with the newest. */
  #newestFrame(name: string): WatchedMessage | undefined {
    const known = this.#shown.get(name)
    if (known !== undefined && now() - known.at < freshMs) return known.frame
    this.#shown.clear()
    using watch = watchOf('frames', name, 'newest')
    const [frame] = watch.read(1)
    this.#shown.set(name, { at: now(), frame })
    return frame
  }

  /** First what is there, then what comes. */
  #read(kind: string, name: string): readonly WatchedMessage[] {
    const key = `${kind}/${name}`
    const open = this.#open.get(key) ?? {
      watch: watchOf(kind, name, 'oldest'),
      newest: [],
      timer: this.#closeLater(key),
    }
    this.#open.set(key, open)
    stopTimer(open.timer)
    open.timer = this.#closeLater(key)
    const read = open.watch.read(mostRead)
    open.newest.push(...read)
    open.newest.splice(0, open.newest.length - mostMessages)
    if (read.length === mostRead) {
      open.watch.close()
      open.watch = watchOf(kind, name, 'newest')
    }
    return open.newest
  }

  #closeLater(key: string): Timer {
    return startTimer(idleMs, () => {
      this.#open.get(key)?.watch.close()
      this.#open.delete(key)
    })
  }
}

function watchOf(kind: string, name: string, from: 'newest' | 'oldest'): ChannelWatch {
  const { watch } = require('../telemetry/watch.js') as typeof import('../telemetry/watch.js')
  const most = kind === 'frames' ? undefined : mostText + 1
  return watch(name, { kind: kind as WatchedMessage['kind'], from, most })
}

/** What was asked for, or what is wrong with that. */
function shapeOf(query: URLSearchParams): Partial<Shape> | string {
  const format = query.get('format') ?? ''
  if (format !== '' && !(formats as readonly string[]).includes(format)) {
    return `format must be one of ${formats.join(', ')}`
  }
  const side = (key: 'width' | 'height'): number | undefined => {
    const given = query.get(key) ?? ''
    return given === '' ? undefined : /^\d{1,5}$/.test(given) ? Number(given) : NaN
  }
  const width = side('width')
  const height = side('height')
  for (const one of [width, height]) {
    if (one !== undefined && !(one >= 1 && one <= longestSide)) {
      return `width and height must be whole numbers from 1 to ${String(longestSide)}`
    }
  }
  return {
    ...(format === '' ? {} : { format: format as Format }),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
  }
}

function ageOf({ publishedAt, seenAt }: WatchedMessage): number | undefined {
  return publishedAt === undefined ? undefined : Number(seenAt - publishedAt) / 1e6
}

/** What no text has in it: control characters but for tabs and ends of lines, and what is no sign. */
function isNoText(sign: string): boolean {
  return sign === '\uFFFD' || (sign < ' ' && !'\t\n\v\f\r'.includes(sign))
}

function peeked(message: WatchedMessage): Peeked {
  const { sequence, op, length, bytes, cut, subject, id, state, method } = message
  const first = bytes.subarray(0, mostText)
  // A sign that was cut in two is no reason to take it for binary.
  const decoded = first.toString().replace(/\uFFFD+$/, '')
  const binary = Array.from(decoded).some(isNoText)
  return {
    sequence: String(sequence),
    op,
    length,
    ...(ageOf(message) === undefined ? {} : { age: ageOf(message)! }),
    ...(subject === undefined ? {} : { subject }),
    ...(id === undefined ? {} : { id }),
    ...(state === undefined ? {} : { state }),
    ...(method === undefined ? {} : { method }),
    text: binary ? first.toString('hex').replaceAll(/(..)(?=.)/g, '$1 ') : decoded,
    binary,
    cut: cut || bytes.length > first.length,
  }
}
