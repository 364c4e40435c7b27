// Others in words, for the messages of waits that were too long: who has what we waited for.

import type { NativePartyList } from '../addon/party.js'

/** The rest are counted. */
const mostShown = 4

/** `process 12`, `processes 12, 13 (died) and 2 more`; handles of this process are called so. Nothing if there are none. */
export function inWords(list: NativePartyList): string {
  const named: string[] = []
  for (let i = 0; i + 1 < list.length; i += 2) {
    const [pid, lives] = list.slice(i, i + 2)
    named.push(String(pid) + (lives === 0 ? ' (died)' : pid === process.pid ? ' (this one)' : ''))
  }
  if (named.length === 0) return ''
  const more = named.length - mostShown
  const rest = more > 0 ? ` and ${String(more)} more` : ''
  return `${named.length === 1 ? 'process' : 'processes'} ${named.slice(0, mostShown).join(', ')}${rest}`
}

/** How many are on that list. */
export function countOf(list: NativePartyList): number {
  return list.length / 2
}
