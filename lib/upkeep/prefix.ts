// The names that list and sweep are asked for.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

export function checkPrefix(prefix: unknown = ''): string {
  if (typeof prefix === 'string') return prefix
  throw invalidArgument(`prefix must be a string, not ${show(prefix)}`)
}
