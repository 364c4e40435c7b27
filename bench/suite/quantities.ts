// Numbers as people read them.

const digits = (value: number) => (value >= 100 ? 0 : value >= 10 ? 1 : 2)

export function duration(nanoseconds: number): string {
  const [unit, factor] =
    nanoseconds >= 1e9
      ? ['s', 1e9]
      : nanoseconds >= 1e6
        ? ['ms', 1e6]
        : nanoseconds >= 1e3
          ? ['µs', 1e3]
          : ['ns', 1]
  const value = nanoseconds / factor
  return `${value.toFixed(unit === 'ns' && value >= 10 ? 0 : digits(value))} ${unit}`
}

export function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(digits(perSecond / 1e6))} M/s`
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toFixed(digits(perSecond / 1e3))} k/s`
  return `${perSecond.toFixed(0)}/s`
}

export function bandwidth(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`
}
