// The film that is sent: a test card that moves. Every frame follows from its number alone, byte for byte, so a reader
// can draw its own and compare. All of a frame is drawn anew, so nothing of an older one can be taken for it.
//
// From top to bottom: colour bars that wander, a disc that crosses a gradient, and the number of the frame in bits.

export const frameWidth = 1920
export const frameHeight = 1080
export const frameBytes = frameWidth * frameHeight * 4

const barsBottom = 400
const bitsTop = 980
const bits = 16
const barWidth = frameWidth / 8
const radius = 150
/** 0xAABBGGRR, as a little-endian machine has the bytes of RGBA. */
const bars = [
  0xffc0c0c0, 0xff00c0c0, 0xffc0c000, 0xff00c000, 0xffc000c0, 0xff0000c0, 0xffc00000, 0xff202020,
]
const disc = 0xff54b4ff
const bitOn = 0xfff0f0f0
const bitOff = 0xff303030

/** Draws frame `number`, from 1 on, over all of `pixels`. */
export function drawTestCard(pixels: Uint32Array, number: number): void {
  for (let y = 0; y < barsBottom; y++) drawBars(pixels, y * frameWidth, number * 8)
  const x = (number * 12) % frameWidth
  const middle = (barsBottom + bitsTop) / 2
  for (let y = barsBottom; y < bitsTop; y++) {
    const at = y * frameWidth
    const shade = (((y - barsBottom) >> 2) + number) & 0xff
    pixels.fill((0xff000000 | (shade << 16) | ((shade >> 1) << 8)) >>> 0, at, at + frameWidth)
    const half = Math.floor(Math.sqrt(Math.max(0, radius * radius - (y - middle) * (y - middle))))
    pixels.fill(disc, at + Math.max(0, x - half), at + Math.min(frameWidth, x + half))
  }
  const bitWidth = frameWidth / bits
  for (let y = bitsTop; y < frameHeight; y++) {
    for (let bit = 0; bit < bits; bit++) {
      const at = y * frameWidth + bit * bitWidth
      const isSet = ((number >> (bits - 1 - bit)) & 1) === 1
      pixels.fill(isSet ? bitOn : bitOff, at, at + bitWidth)
    }
  }
}

function drawBars(pixels: Uint32Array, at: number, shift: number): void {
  for (let x = 0; x < frameWidth;) {
    const place = (x + shift) % frameWidth
    const length = Math.min(barWidth - (place % barWidth), frameWidth - x)
    pixels.fill(bars[Math.floor(place / barWidth)]!, at + x, at + x + length)
    x += length
  }
}

/** Gives the compiler practice: the first frames would otherwise take ten times as long. */
export function rehearse(): void {
  const pixels = new Uint32Array(frameBytes / 4)
  for (let number = 1; number <= 16; number++) drawTestCard(pixels, number)
}
