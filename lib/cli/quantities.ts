// Quantities as people write and read them: 64K, 1.2 GB/s, 35 µs.

import { UsageError } from './usage.js'

const binaryUnits: Record<string, number> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
}

/** A number of bytes, with K, M or G for powers of 1024: `4096`, `64K`, `1M`. */
export function parseBytes(option: string, text: string, most = 2 ** 30): number {
  const match = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text)
  const bytes = Number(match?.[1]) * (binaryUnits[match?.[2]?.toUpperCase() ?? ''] ?? NaN)
  if (bytes > 0 && bytes <= most) return bytes
  const limit = most === 2 ** 30 ? ' up to 1G' : ''
  throw new UsageError(`${option} must be a size${limit}, such as 64K or 4M, not '${text}'`)
}

const timeUnits: Record<string, number> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }

/** Milliseconds: `500ms`, `1.5s`, `10min`, `2h`; of a number alone, seconds. */
export function parseDuration(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|min|h)?$/.exec(text)
  const milliseconds = Number(match?.[1]) * (timeUnits[match?.[2] ?? 's'] ?? NaN)
  if (milliseconds >= 0) return milliseconds
  throw new UsageError(`${option} must be a time such as 500ms, 60s, 10min or 2h, not '${text}'`)
}

export function parseCount(option: string, text: string, least: number, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN
  if (count >= least && count <= most) return count
  throw new UsageError(`${option} must be a whole number from ${least} to ${most}, not '${text}'`)
}

/** Three significant digits, in the decimal units that throughput is usually given in. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB'])
}

export function formatNanoseconds(nanoseconds: number): string {
  return scaled(nanoseconds, 1000, ['ns', 'µs', 'ms', 's'])
}

export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds >= 1000) {
    const seconds = milliseconds / 1000
    if (seconds < 100) return `${seconds.toFixed(1)} s`
    return seconds < 6000 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(0)} h`
  }
  return formatNanoseconds(milliseconds * 1e6)
}

/** `0`, `0.5`, `12`, `1.2k`, `34M`: events a second, in five characters. */
export function formatRate(perSecond: number): string {
  if (perSecond > 0 && perSecond < 9.95) return perSecond.toFixed(1)
  if (perSecond < 999.5) return perSecond.toFixed(0)
  return scaled(perSecond, 1000, ['', 'k', 'M', 'G']).replace(' ', '')
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let left = value
  let unit = 0
  while (left >= step * 0.9995 && unit < units.length - 1) {
    left /= step
    unit++
  }
  const digits = unit === 0 || left >= 99.95 ? 0 : left >= 9.995 ? 1 : 2
  return `${left.toFixed(digits)} ${units[unit] ?? ''}`
}
