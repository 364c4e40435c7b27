// Numbers as people read them. What is no number is a dash.

const none = '–'

export function count(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return none
  return Math.abs(value) < 100_000 ? value.toLocaleString('en') : scaled(value, thousands, '')
}

export function rate(perSecond: number | undefined): string {
  if (perSecond === undefined || !Number.isFinite(perSecond)) return none
  if (perSecond > 0 && perSecond < 9.95) return perSecond.toFixed(1)
  return perSecond < 9_999.5
    ? Math.round(perSecond).toLocaleString('en')
    : scaled(perSecond, thousands, '')
}

export function bytes(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return none
  return scaled(value, ['B', 'kB', 'MB', 'GB', 'TB'], ' ')
}

export function milliseconds(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return none
  if (value < 1) return `${(value * 1000).toFixed(0)} µs`
  if (value < 1000) return `${value.toFixed(value < 10 ? 1 : 0)} ms`
  const seconds = value / 1000
  if (seconds < 100) return `${seconds.toFixed(1)} s`
  if (seconds < 6000) return `${(seconds / 60).toFixed(0)} min`
  return seconds < 172_800
    ? `${(seconds / 3600).toFixed(0)} h`
    : `${(seconds / 86_400).toFixed(0)} d`
}

const thousands = ['', 'k', 'M', 'G', 'T']

function scaled(value: number, units: readonly string[], between: string): string {
  let left = value
  let unit = 0
  while (Math.abs(left) >= 999.5 && unit < units.length - 1) {
    left /= 1000
    unit++
  }
  const digits = unit === 0 || left >= 99.95 ? 0 : left >= 9.995 ? 1 : 2
  return `${left.toFixed(digits)}${between}${units[unit]!}`
}

/** `sentBytes` is `sent bytes`. */
export function wordsOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

const lasting = /age$/i
const inBytes = /bytes|capacity$/i

/** A number of a channel, by what it is called. */
export function figure(name: string, value: number): string {
  if (lasting.test(name)) return milliseconds(value)
  return inBytes.test(name) ? bytes(value) : count(value)
}

export function plural(number: number, one: string, more = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : more}`
}
