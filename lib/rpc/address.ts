// Where calls go, by a string: the scheme says how. Only this machine's memory is one of them yet.

import { checkPlace, placeOf } from '../place/place.js'
import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** What begins like the address of something: a scheme, and two slashes. */
const schemes = /^([a-z][a-z0-9+.-]*):\/\//i

/**
 * The name of the memory that an address is about: `shm://calc` and `calc` are the same.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (no text, or a scheme that is not supported), `CLOSED` (in listeners for 'exit')
 */
export function nameAt(address: unknown): string {
  if (typeof address !== 'string') {
    throw invalidArgument(`the address must be a string like 'shm://calc', not ${show(address)}`)
  }
  const place = placeOf(address) as string
  const scheme = schemes.exec(place)?.[1]
  if (scheme !== undefined) {
    throw invalidArgument(
      `an address of '${scheme}://' is not supported: calls go through the shared memory of one machine, 'shm://NAME' or a name alone`,
    )
  }
  return checkPlace(place) as string
}
