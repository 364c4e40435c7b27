// Pictures of frames: what a person is to see of them, small enough to be sent several times a second. Frames are whatever somebody else
// has written: nothing is believed of them but how many bytes they have.

import { MillraceError } from '../errors.js'
import type { Format } from './wire.js'

/** What a frame is to be taken for. */
export interface Shape {
  readonly format: Format
  readonly width: number
  readonly height: number
}

export interface Picture extends Shape {
  /** RGBA, or a JPEG file. */
  readonly pixels: Uint8Array
  /** Of the picture; `width` and `height` are those of the frame. */
  readonly shownWidth: number
  readonly shownHeight: number
}

export const longestSide = 32_768
const shownWidth = 640
const shownHeight = 480

/** Sizes that cameras and screens have. */
const usualSizes: readonly (readonly [width: number, height: number])[] = [
  [1920, 1080],
  [1280, 720],
  [640, 480],
  [3840, 2160],
  [2560, 1440],
  [1920, 1200],
  [1600, 1200],
  [1280, 1024],
  [1280, 960],
  [1024, 768],
  [960, 540],
  [800, 600],
  [640, 360],
  [640, 512],
  [320, 240],
  [320, 180],
  [160, 120],
  [4096, 2160],
  [7680, 4320],
  [1024, 1024],
  [512, 512],
  [256, 256],
  [128, 128],
  [64, 64],
]

/** In the order in which they are guessed. */
const rawFormats = ['RGBA', 'NV12', 'RGB', 'YUYV', 'GRAY'] as const

/** Bytes that a frame of that shape has, without anything between its lines. */
export function bytesOf({ format, width, height }: Shape): number {
  switch (format) {
    case 'RGBA':
      return 4 * width * height
    case 'RGB':
      return 3 * width * height
    case 'GRAY':
      return width * height
    case 'YUYV':
      return 4 * Math.ceil(width / 2) * height
    case 'NV12':
      return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2)
    case 'JPEG':
      return 4
  }
}

/** What a frame is, as far as it tells: by its first bytes, or by how many it has. */
export function guess(bytes: Uint8Array, format?: Format): Shape | undefined {
  if (isJpeg(bytes) && (format === undefined || format === 'JPEG')) {
    return { format: 'JPEG', width: 0, height: 0 }
  }
  for (const one of format === undefined ? rawFormats : [format]) {
    if (one === 'JPEG') continue
    for (const [width, height] of usualSizes) {
      const shape = { format: one, width, height }
      if (bytesOf(shape) === bytes.length) return shape
    }
  }
  return undefined
}

/**
 * @throws MillraceError `INVALID_ARGUMENT` if it cannot be that
 */
export function pictureOf(bytes: Uint8Array, shape: Shape): Picture {
  if (shape.format === 'JPEG') {
    if (!isJpeg(bytes)) throw cannot('the frame does not begin as a JPEG file does')
    return { ...shape, pixels: bytes, shownWidth: 0, shownHeight: 0 }
  }
  const wanted = bytesOf(shape)
  const { format, width, height } = shape
  if (bytes.length < wanted) {
    throw cannot(
      `the frame has ${String(bytes.length)} bytes, and ${format} of ${String(width)} × ${String(height)} takes ${String(wanted)}`,
    )
  }
  const scale = Math.max(1, width / shownWidth, height / shownHeight)
  const across = Math.max(1, Math.floor(width / scale))
  const down = Math.max(1, Math.floor(height / scale))
  const pixels = new Uint8ClampedArray(4 * across * down)
  const draw = painters[format]
  const columns = new Uint32Array(across).map((_, x) => Math.floor(((x + 0.5) * width) / across))
  for (let y = 0; y < down; y++) {
    const row = Math.floor(((y + 0.5) * height) / down)
    draw(bytes, { width, height, row, columns }, pixels, 4 * across * y)
  }
  return {
    ...shape,
    pixels: new Uint8Array(pixels.buffer),
    shownWidth: across,
    shownHeight: down,
  }
}

/** A line of the picture: of which row of the frame, and of which of its columns. */
interface Line {
  readonly width: number
  readonly height: number
  readonly row: number
  readonly columns: Uint32Array
}

type Painter = (from: Uint8Array, line: Line, to: Uint8ClampedArray, at: number) => void

const painters: Readonly<Record<Exclude<Format, 'JPEG'>, Painter>> = {
  RGBA: (from, line, to, at) => {
    plain(from, line, to, { at, each: 4 })
  },
  RGB: (from, line, to, at) => {
    plain(from, line, to, { at, each: 3 })
  },
  GRAY(from, { width, row, columns }, to, start) {
    let at = start
    for (const x of columns) {
      const value = from[width * row + x]!
      to[at++] = value
      to[at++] = value
      to[at++] = value
      to[at++] = 255
    }
  },
  YUYV(from, { width, row, columns }, to, start) {
    const line = 4 * Math.ceil(width / 2) * row
    let at = start
    for (const x of columns) {
      const pair = line + 4 * (x >> 1)
      colour(to, at, from[pair + 2 * (x & 1)]!, from[pair + 1]!, from[pair + 3]!)
      at += 4
    }
  },
  NV12(from, { width, height, row, columns }, to, start) {
    const chroma = width * height + 2 * Math.ceil(width / 2) * (row >> 1)
    let at = start
    for (const x of columns) {
      const pair = chroma + 2 * (x >> 1)
      colour(to, at, from[width * row + x]!, from[pair]!, from[pair + 1]!)
      at += 4
    }
  },
}

/** Whatever a writer left in the fourth byte: a picture that nobody sees helps nobody. */
function plain(
  from: Uint8Array,
  { width, row, columns }: Line,
  to: Uint8ClampedArray,
  { at: start, each }: { readonly at: number; readonly each: number },
): void {
  let at = start
  for (const x of columns) {
    const pixel = each * (width * row + x)
    to[at++] = from[pixel]!
    to[at++] = from[pixel + 1]!
    to[at++] = from[pixel + 2]!
    to[at++] = 255
  }
}

/** BT.601, as webcams have it. */
function colour(to: Uint8ClampedArray, at: number, y: number, u: number, v: number): void {
  const light = 1.164 * (y - 16)
  to[at] = light + 1.596 * (v - 128)
  to[at + 1] = light - 0.392 * (u - 128) - 0.813 * (v - 128)
  to[at + 2] = light + 2.017 * (u - 128)
  to[at + 3] = 255
}

function isJpeg(bytes: Uint8Array): boolean {
  return bytes.length > 3 && bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff
}

function cannot(message: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', message)
}
