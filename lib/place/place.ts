// Where channels and shared memory live, as every factory takes it.

import { hasLeft } from '../addon/native.js'
import type { NativePlace } from '../addon/place.js'
import { MillraceError } from '../errors.js'
import { openWhenThere, type Opening } from '../base/opening.js'
import { checkName } from '../base/options.js'
import { MappedFile } from './mapped-file.js'
import { NamelessSegment } from './nameless-segment.js'

/**
 * Where a channel or shared memory lives: under a name, which every process of this user can open; in
 * memory without a name, which is handed over; or in a file, which outlives all processes.
 */
export type Place = string | NamelessSegment | MappedFile

/**
 * As the addon takes it; anything that is no place is refused. For now only: of a nameless segment it is the number of
 * a descriptor, which belongs to somebody else as soon as the segment is closed.
 */
export function checkPlace(place: unknown): NativePlace {
  if (hasLeft()) {
    throw new MillraceError(
      'ERR_MILLRACE_CLOSED',
      "nothing can be opened any more: this process or Worker is in its 'exit' listeners; open it before",
    )
  }
  if (place instanceof NamelessSegment) return place.fd
  if (place instanceof MappedFile) return { file: place.path }
  return checkName(place)
}

/** The place without the scheme of its address, if it is one of this machine's memory; any other place is taken as it is. */
export function placeOf(place: Place): Place {
  return typeof place === 'string' && /^shm:\/\//i.test(place) ? place.slice(6) : place
}

/** What messages call it. */
export function nameOf(place: Place): string {
  if (typeof place === 'string') return place
  return place instanceof MappedFile ? place.path : place.name
}

/**
 * What `open` returns, tried again while it throws `NOT_FOUND`; see `openWhenThere`. A nameless segment may be closed
 * meanwhile.
 */
export async function openAt<T>(
  place: Place,
  open: (place: NativePlace) => T,
  opening: Opening,
): Promise<T> {
  if (!(place instanceof NamelessSegment)) {
    const found = checkPlace(place)
    return await openWhenThere(() => open(found), opening)
  }
  const own = NamelessSegment.fromFd(place.fd)
  try {
    return await openWhenThere(() => open(own.fd), opening)
  } finally {
    own.close()
  }
}
