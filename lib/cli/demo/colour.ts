// Colours as pixels have them in memory on a little-endian machine: 0xAABBGGRR, opaque.

/** From the usual 0xRRGGBB. */
export function rgb(hex: number): number {
  return (0xff000000 | ((hex & 0xff) << 16) | (hex & 0xff00) | (hex >> 16)) >>> 0
}

/** From `from` (share 0) to `to` (share 256). Whole numbers only: every process gets the same result. */
export function mix(from: number, to: number, share: number): number {
  const redBlue = (((from & 0xff00ff) * (256 - share) + (to & 0xff00ff) * share) >>> 8) & 0xff00ff
  const green = (((from & 0xff00) * (256 - share) + (to & 0xff00) * share) >>> 8) & 0xff00
  return (0xff000000 | redBlue | green) >>> 0
}

/** A colour that changes with the share of the day, 0 to 1. */
export type Ramp = readonly (readonly [at: number, colour: number])[]

export function ramp(...stops: (readonly [at: number, hex: number])[]): Ramp {
  return stops.map(([at, hex]) => [at, rgb(hex)] as const)
}

export function colourAt(stops: Ramp, day: number): number {
  const next = stops.findIndex(([at]) => at >= day)
  const to = stops[next]
  const from = stops[next - 1]
  if (to === undefined) return stops.at(-1)?.[1] ?? 0
  if (from === undefined) return to[1]
  return mix(from[1], to[1], Math.round((256 * (day - from[0])) / (to[0] - from[0])))
}
