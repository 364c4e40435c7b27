// What a route of calls has against it, judged before anything is done.

import { invalidArgument } from '../errors.js'
import { addressElsewhere } from '../place/elsewhere.js'
import type { CallsRoute } from './config.js'

/**
 * Whoever serves at an address says what. In memory nobody does, and a file of configuration has no contracts.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function assertContract({ to, contract }: CallsRoute): void {
  if (contract !== undefined || addressElsewhere(to) !== undefined) return
  throw invalidArgument(
    `'${to}' is in this machine's memory, which does not say what is served there: give the route its contract, in a program; or ` +
      'serve at an address, such as unix:///run/app/calls, and let the route lead there',
  )
}
