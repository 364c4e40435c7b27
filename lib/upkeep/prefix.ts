// The names that list and sweep are asked for.

import { invalidArgument } from '../errors.js'

export function checkPrefix(prefix: unknown = ''): string {
  if (typeof prefix === 'string') return prefix
  throw invalidArgument(`prefix must be a string, not ${String(prefix)}`)
}
