// The clock of the day, whose times go to other hosts.

/** Milliseconds since 1970. */
export function clock(): number {
  return Date.now() // eslint-disable-line no-restricted-properties -- it is compared with that of other hosts
}
