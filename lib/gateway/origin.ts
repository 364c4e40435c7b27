// What a gateway sends along with a message: where it comes from, and which gateways it has passed. A gateway knows its own messages
// again by it, and lets none go round.

/** Hosts that a message may pass. */
export const mostHops = 8

export const headerNames = {
  origin: 'millrace-origin',
  hops: 'millrace-hops',
  group: 'millrace-group',
  priority: 'millrace-priority',
} as const

export type Headers = Readonly<Record<string, string>>

/** The hosts that a message has passed, the first one in front. */
export function hopsOf(headers: Headers | undefined): readonly string[] {
  const text = headers?.[headerNames.hops] ?? ''
  return text === '' ? [] : text.split(',')
}

/** Does it go round? It was here already, or has passed too many others. */
export function goesRound(hops: readonly string[], host: string): boolean {
  return hops.includes(host) || hops.length >= mostHops
}

/** What the next gateway is told. */
export function passedBy(
  hops: readonly string[],
  host: string,
  origin: string | undefined,
): Headers {
  return {
    [headerNames.origin]: origin ?? hops[0] ?? host,
    [headerNames.hops]: [...hops, host].join(','),
  }
}

/** Text as engines take it in a header: of ASCII, on one line. */
export const asHeader = (text: string): string => encodeURIComponent(text)

export function ofHeader(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
