// Round shapes as alpha masks, computed once with soft edges and then laid over frames.

import { mix } from './colour.js'
import { frameHeight, frameWidth } from './frame-size.js'

/** Opacity at a point relative to the centre, 0 to 1. */
type Coverage = (x: number, y: number) => number

const opaque = 256
/** Below this many pixels, a loop is faster than a call of fill(). */
const shortRun = 12

/** Opacities around a centre, kept as runs of opaque pixels and single soft ones. */
export class Mask {
  /** y, first x and end of each run; all relative to the centre. */
  readonly #runs: Int32Array
  /** y, x and opacity (1 to 255) of each soft pixel. */
  readonly #soft: Int32Array

  constructor(radius: number, coverage: Coverage) {
    const runs: number[] = []
    const soft: number[] = []
    for (let y = -radius; y < radius; y++) {
      let start: number | undefined
      for (let x = -radius; x <= radius; x++) {
        const share = x < radius ? coverage(x + 0.5, y + 0.5) : 0
        const alpha = Math.round(opaque * Math.min(1, Math.max(0, share)))
        if (alpha === opaque) start ??= x
        else if (start !== undefined) {
          runs.push(y, start, x)
          start = undefined
        }
        if (alpha > 0 && alpha < opaque) soft.push(y, x, alpha)
      }
    }
    this.#runs = Int32Array.from(runs)
    this.#soft = Int32Array.from(soft)
  }

  static disc(radius: number): Mask {
    return new Mask(radius, (x, y) => radius - Math.sqrt(x * x + y * y))
  }

  static glow(radius: number): Mask {
    return new Mask(
      radius,
      (x, y) => 0.55 * Math.max(0, 1 - Math.sqrt(x * x + y * y) / radius) ** 2,
    )
  }

  static crescent(radius: number): Mask {
    return new Mask(radius, (x, y) =>
      Math.min(
        1,
        Math.max(0, radius - Math.sqrt(x * x + y * y)),
        Math.max(0, Math.hypot(x - radius * 0.45, y + radius * 0.2) - radius * 0.82),
      ),
    )
  }

  /** Lays the mask over a frame in one colour, centred there; rows `from` to `below` only. */
  draw(
    pixels: Uint32Array,
    centreX: number,
    centreY: number,
    colour: number,
    { from = 0, below = frameHeight }: { readonly from?: number; readonly below?: number } = {},
  ): void {
    const top = Math.max(0, from)
    const bottom = Math.min(frameHeight, below)
    const runs = this.#runs
    for (let i = 0; i < runs.length; i += 3) {
      const y = centreY + runs[i]!
      if (y < top || y >= bottom) continue
      const left = y * frameWidth + Math.max(0, centreX + runs[i + 1]!)
      const right = y * frameWidth + Math.min(frameWidth, centreX + runs[i + 2]!)
      if (right - left >= shortRun) pixels.fill(colour, left, right)
      else for (let at = left; at < right; at++) pixels[at] = colour
    }
    const soft = this.#soft
    for (let i = 0; i < soft.length; i += 3) {
      const y = centreY + soft[i]!
      const x = centreX + soft[i + 1]!
      if (y < top || y >= bottom || x < 0 || x >= frameWidth) continue
      const at = y * frameWidth + x
      pixels[at] = mix(pixels[at]!, colour, soft[i + 2]!)
    }
  }
}

const paddles = 12
const phases = 20

/** A water wheel in all positions it has before it looks the same again. */
export function wheelMasks(radius: number): readonly Mask[] {
  const sector = (2 * Math.PI) / paddles
  return Array.from({ length: phases }, (_, phase) => {
    const turn = (phase * sector) / phases
    return new Mask(radius, (x, y) => {
      const distance = Math.sqrt(x * x + y * y)
      const angle = Math.atan2(y, x) - turn
      const fromSpoke = angle - Math.round(angle / sector) * sector
      const across = Math.abs(distance * Math.sin(fromSpoke))
      const ring = (at: number, half: number) => half - Math.abs(distance - at)
      const spoke = distance < radius - 30 ? 5 - across : -1
      const paddle = distance > radius - 52 && distance < radius - 2 ? 8 - across : -1
      return Math.max(ring(radius - 40, 7), ring(radius * 0.5, 4), 24 - distance, spoke, paddle)
    })
  })
}
