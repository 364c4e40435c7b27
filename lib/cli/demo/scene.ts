// The film that is sent: a day at a mill. Every frame follows from its number alone, byte for byte, so a
// reader can draw its own and compare. Nothing in a frame is left over from another: all is drawn anew.
//
// Fast enough to feed a channel: rows and runs are filled with one colour each, and what is round
// (sun, wheel) is a mask of alpha values made once.

import { colourAt, mix, ramp, rgb } from './colour.js'
import { frameHeight, frameWidth } from './frame-size.js'
import { drawText, textWidth } from './glyphs.js'
import { Mask, wheelMasks } from './masks.js'

const horizon = 700
const meadowTop = 790
const bank = 860 // where the meadow ends and the water begins
const waterline = bank + 8
const wheel = { x: 1330, y: 800, radius: 190 }

const skyTop = ramp(
  [0, 0x2b2f6b],
  [0.12, 0x4a7fc4],
  [0.5, 0x2f7fd6],
  [0.74, 0x4a4f9e],
  [0.88, 0x141a44],
  [1, 0x070b22],
)
const skyLow = ramp(
  [0, 0xf49a6a],
  [0.12, 0xf8d9b0],
  [0.5, 0xcfe8f7],
  [0.7, 0xf9b26b],
  [0.8, 0xd8607a],
  [0.9, 0x2c2f66],
  [1, 0x141a40],
)
const farHill = ramp(
  [0, 0x5a5684],
  [0.15, 0x7fa0b5],
  [0.5, 0x86b0b8],
  [0.75, 0x7a5f86],
  [0.9, 0x1d2347],
  [1, 0x10152f],
)
const nearHill = ramp(
  [0, 0x3c4262],
  [0.15, 0x4f8a6b],
  [0.5, 0x58a05f],
  [0.75, 0x5a4f5c],
  [0.9, 0x131b33],
  [1, 0x0b1022],
)
const meadow = ramp(
  [0, 0x2f3f47],
  [0.15, 0x5f9d4c],
  [0.5, 0x6db84f],
  [0.75, 0x5c5a3f],
  [0.9, 0x0f1a28],
  [1, 0x080e1a],
)
const water = ramp(
  [0, 0x8a6f8c],
  [0.15, 0x6fa8cf],
  [0.5, 0x4d9bd8],
  [0.75, 0xb06c78],
  [0.9, 0x1b2450],
  [1, 0x0e1534],
)
const glint = ramp(
  [0, 0xffc9a0],
  [0.15, 0xe8f6ff],
  [0.5, 0xdff3ff],
  [0.75, 0xffc08a],
  [0.9, 0x4a5694],
  [1, 0x38427a],
)
const cloud = ramp(
  [0, 0xf0a890],
  [0.15, 0xfff4ea],
  [0.5, 0xffffff],
  [0.75, 0xf0a080],
  [0.9, 0x2a2f5c],
  [1, 0x1a1f42],
)
const wall = ramp(
  [0, 0x8a7468],
  [0.15, 0xe8dcc4],
  [0.5, 0xf3ead6],
  [0.75, 0xb08a70],
  [0.9, 0x2c2a3c],
  [1, 0x1c1b2b],
)
const roof = ramp(
  [0, 0x55343a],
  [0.15, 0xb0543c],
  [0.5, 0xc05c40],
  [0.75, 0x74362e],
  [0.9, 0x1e1622],
  [1, 0x140f19],
)
const timber = ramp(
  [0, 0x2e2228],
  [0.15, 0x6b4a30],
  [0.5, 0x744f32],
  [0.75, 0x452c22],
  [0.9, 0x120e16],
  [1, 0x0b090f],
)
const pane = ramp([0, 0xffd98a], [0.15, 0x5b7488], [0.6, 0x5b7488], [0.78, 0xffc861], [1, 0xffd070])

interface Run {
  readonly y: number
  readonly from: number
  readonly to: number
}

/** Draws the frames 1 to `frames`; the first is at dawn, the last at night. */
export class Scene {
  readonly #frames: number
  readonly #farHills = hillRuns(
    meadowTop,
    (x) => 585 + 60 * wave(x, 700, 0) + 28 * wave(x, 260, 1.3),
  )
  readonly #nearHills = hillRuns(
    meadowTop,
    (x) => 680 + 46 * wave(x, 980, 2.1) + 16 * wave(x, 330, 0.4),
  )
  readonly #clouds = [
    { runs: cloudRuns(150, 1), y: 150, x: 100, speed: 0.9 },
    { runs: cloudRuns(110, 2), y: 270, x: 900, speed: 0.55 },
    { runs: cloudRuns(130, 3), y: 90, x: 1500, speed: 0.7 },
  ]
  readonly #stars = scatter(140, frameWidth, 520)
  readonly #sun = Mask.disc(58)
  readonly #glow = Mask.glow(130)
  readonly #moon = Mask.crescent(46)
  readonly #wheel = wheelMasks(wheel.radius)

  constructor(frames: number) {
    this.#frames = frames
  }

  /** Gives the compiler practice: the first frames would otherwise take ten times as long. */
  rehearse(): this {
    const pixels = new Uint32Array(frameWidth * frameHeight)
    for (let i = 0; i < 16; i++) this.draw(pixels, 1 + Math.floor((i * this.#frames) / 16))
    return this
  }

  /** Draws frame `number` over all of `pixels`, which has frameWidth × frameHeight of them. */
  draw(pixels: Uint32Array, number: number): void {
    const day = this.#frames > 1 ? (number - 1) / (this.#frames - 1) : 0.5
    this.#drawSky(pixels, number, day)
    fillRuns(pixels, this.#farHills, colourAt(farHill, day))
    fillRuns(pixels, this.#nearHills, colourAt(nearHill, day))
    this.#drawBank(pixels, number, day)
    this.#drawMill(pixels, number, day)
    drawCounter(pixels, number, this.#frames)
  }

  #drawSky(pixels: Uint32Array, number: number, day: number): void {
    const top = colourAt(skyTop, day)
    const low = colourAt(skyLow, day)
    for (let y = 0; y < horizon; y++) {
      const colour = mix(top, low, Math.floor((256 * y * y) / (horizon * horizon)))
      pixels.fill(colour, y * frameWidth, (y + 1) * frameWidth)
    }
    const dark = Math.floor(256 * Math.min(1, Math.max(0, (day - 0.78) / 0.15)))
    if (dark > 0) {
      for (const { x, y, size } of this.#stars) {
        const twinkle = (number + x) % 40 < 6 ? 0.6 : 1
        const share = Math.floor(dark * twinkle * (1 - y / 560))
        for (let row = y; row < y + size; row++) {
          const at = row * frameWidth + x
          for (let i = at; i < at + size; i++) pixels[i] = mix(pixels[i]!, 0xffffffff, share)
        }
      }
      this.#moon.draw(pixels, 420, 620 - dark, rgb(0xf4efd8))
    }
    const sunX = Math.floor(140 + day * 1900)
    const height = 4 * (day / 0.8) * (1 - day / 0.8)
    const sunY = Math.floor(horizon - 40 - 520 * height)
    if (sunY < horizon + 200) {
      const colour = mix(rgb(0xff8a4a), rgb(0xfff3c4), Math.floor(256 * Math.max(0, height)))
      this.#glow.draw(pixels, sunX, sunY, colour)
      this.#sun.draw(pixels, sunX, sunY, colour)
    }
    const colour = colourAt(cloud, day)
    for (const { runs, x, y, speed } of this.#clouds) {
      const left = Math.floor(x + number * speed * (600 / this.#frames)) % (frameWidth + 500)
      fillRuns(pixels, runs, colour, left - 500, y)
    }
  }

  #drawBank(pixels: Uint32Array, number: number, day: number): void {
    const grass = colourAt(meadow, day)
    pixels.fill(grass, meadowTop * frameWidth, bank * frameWidth)
    const deep = colourAt(water, day)
    const light = colourAt(glint, day)
    for (let y = bank; y < frameHeight; y++) {
      const shade = mix(deep, 0xff000000, Math.floor((90 * (y - bank)) / (frameHeight - bank)))
      pixels.fill(shade, y * frameWidth, (y + 1) * frameWidth)
    }
    pixels.fill(mix(grass, 0xff000000, 110), bank * frameWidth, (bank + 8) * frameWidth)
    // Ripples drift downstream, the nearer the faster.
    for (let i = 0; i < 90; i++) {
      const near = (i * 37) % 90
      const y = bank + 18 + Math.floor((near * (frameHeight - bank - 24)) / 90)
      const length = 40 + ((i * 53) % 110)
      const speed = 2 + near / 14
      const x = Math.floor(i * 211 + number * speed) % (frameWidth + 200)
      fillSpan(pixels, y, x - 200, x - 200 + length, mix(deep, light, 60 + ((i * 29) % 120)))
      fillSpan(pixels, y + 1, x - 190, x - 215 + length, mix(deep, light, 40 + ((i * 29) % 60)))
    }
  }

  #drawMill(pixels: Uint32Array, number: number, day: number): void {
    const walls = colourAt(wall, day)
    const beams = colourAt(timber, day)
    const panes = colourAt(pane, day)
    const left = 1400
    const right = 1720
    fillBox(pixels, left, 560, right, bank, walls)
    fillBox(pixels, left, 560, left + 26, bank, mix(walls, 0xff000000, 50))
    for (const y of [560, 690]) fillBox(pixels, left, y, right, y + 12, beams)
    for (const x of [left, 1552, right - 12]) fillBox(pixels, x, 560, x + 12, bank, beams)
    const tiles = colourAt(roof, day)
    for (let y = 400; y < 572; y++) {
      const spread = Math.floor(((y - 400) * 204) / 172)
      const tile = y % 24 < 3 ? mix(tiles, 0xff000000, 50) : tiles
      fillSpan(pixels, y, 1560 - spread, 1560 + spread, tile)
    }
    for (const [x, y] of [
      [1455, 600],
      [1615, 600],
      [1615, 730],
    ] as const) {
      fillBox(pixels, x - 6, y - 6, x + 66, y + 66, beams)
      fillBox(pixels, x, y, x + 60, y + 60, panes)
      fillBox(pixels, x + 27, y, x + 33, y + 60, beams)
      fillBox(pixels, x, y + 27, x + 60, y + 33, beams)
    }
    // The flume that brings the water, and the wheel it turns.
    const stream = colourAt(glint, day)
    fillBox(pixels, 760, 596, wheel.x - 20, 604, mix(colourAt(water, day), stream, 90))
    fillBox(pixels, 740, 604, wheel.x - 20, 620, beams)
    for (const x of [780, 960, 1140]) fillBox(pixels, x, 620, x + 16, bank + 4, beams)
    for (let x = wheel.x - 20; x < wheel.x + 8; x++) {
      const start = 600 + Math.floor(((x - wheel.x + 20) * (x - wheel.x + 20)) / 30)
      for (let y = start; y < start + 60; y++)
        pixels[y * frameWidth + x] = mix(
          stream,
          pixels[y * frameWidth + x]!,
          ((y + x * 3 - number * 9) & 31) * 5,
        )
    }
    const turned = this.#wheel[number % this.#wheel.length]!
    turned.draw(pixels, wheel.x, wheel.y, beams, { below: waterline })
    // Below the surface the wheel is seen through water.
    const sunk = mix(beams, colourAt(water, day), 150)
    turned.draw(pixels, wheel.x, wheel.y, sunk, { from: waterline })
    for (let i = 0; i < 46; i++) {
      const x = wheel.x - 210 + ((i * 197 + number * 7) % 421)
      const y = bank + 2 + ((i * 31 + number * 3) % 22)
      fillBox(pixels, x, y, x + 14, y + 4, stream)
    }
  }
}

function drawCounter(pixels: Uint32Array, number: number, frames: number): void {
  const text = String(number).padStart(4, '0')
  const plate = { x: 60, y: 930, right: 60 + textWidth(text, 14) + 48, bottom: 930 + 7 * 14 + 40 }
  fillBox(pixels, plate.x, plate.y, plate.right, plate.bottom, rgb(0x10131f))
  drawText({ pixels, width: frameWidth }, text, {
    x: plate.x + 24,
    y: plate.y + 20,
    scale: 14,
    colour: rgb(0xffffff),
  })
  fillBox(pixels, 0, frameHeight - 8, frameWidth, frameHeight, rgb(0x10131f))
  const done = Math.floor((frameWidth * number) / frames)
  fillBox(pixels, 0, frameHeight - 8, done, frameHeight, rgb(0xffb454))
}

function wave(x: number, length: number, phase: number): number {
  return Math.sin((x * 2 * Math.PI) / length + phase)
}

/** Everything between a skyline and `bottom`, as few runs per row as there are hills in it. */
function hillRuns(bottom: number, skyline: (x: number) => number): Run[] {
  const heights = Array.from({ length: frameWidth }, (_, x) => Math.floor(skyline(x)))
  const runs: Run[] = []
  for (let y = Math.min(...heights); y < bottom; y++) {
    let from = -1
    for (let x = 0; x <= frameWidth; x++) {
      const inside = x < frameWidth && heights[x]! <= y
      if (inside && from < 0) from = x
      if (!inside && from >= 0) {
        runs.push({ y, from, to: x })
        from = -1
      }
    }
  }
  return runs
}

/** A heap of circles on a flat base, 4 × `size` wide. */
function cloudRuns(size: number, variant: number): Run[] {
  const puffs = [0.55, 0.85, 1, 0.75, 0.5].map((radius, i) => ({
    x: size * (0.6 + i * 0.62),
    radius: size * 0.42 * radius * (1 + 0.15 * Math.sin(i * variant * 2.3)),
  }))
  const runs: Run[] = []
  const base = Math.floor(size * 0.5)
  for (let y = 0; y < base; y++) {
    let from = Infinity
    let to = -Infinity
    for (const { x, radius } of puffs) {
      const half = Math.sqrt(Math.max(0, radius * radius - (base - y) * (base - y)))
      if (half === 0) continue
      from = Math.min(from, x - half)
      to = Math.max(to, x + half)
    }
    if (from < to) runs.push({ y, from: Math.floor(from), to: Math.floor(to) })
  }
  return runs
}

/** The same pseudo-random places everywhere. */
function scatter(count: number, width: number, height: number) {
  let state = 20261121
  const next = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  return Array.from({ length: count }, () => ({
    x: next(width - 4),
    y: next(height),
    size: 2 + next(3),
  }))
}

function fillRuns(pixels: Uint32Array, runs: readonly Run[], colour: number, dx = 0, dy = 0): void {
  for (const { y, from, to } of runs) fillSpan(pixels, y + dy, from + dx, to + dx, colour)
}

function fillSpan(pixels: Uint32Array, y: number, from: number, to: number, colour: number): void {
  const left = Math.max(0, from)
  const right = Math.min(frameWidth, to)
  if (left < right) pixels.fill(colour, y * frameWidth + left, y * frameWidth + right)
}

function fillBox(
  pixels: Uint32Array,
  left: number,
  top: number,
  right: number,
  bottom: number,
  colour: number,
): void {
  for (let y = top; y < bottom; y++) fillSpan(pixels, y, left, right, colour)
}
