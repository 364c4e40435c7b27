// Values for JSON, which has neither bigint nor bytes.

/** Bigints become decimal text, bytes an array of numbers. */
export function jsonOf(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array || Array.isArray(value)) return Array.from(value, jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inside]) => [key, jsonOf(inside)]))
}
