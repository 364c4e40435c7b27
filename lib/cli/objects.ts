// How `ls` and `sweep` put an object into words.

import type { ObjectEntry, ObjectHolder } from '../index.js'
import { formatColumns } from './columns.js'
import { formatBytes } from './quantities.js'

const heading = ['KIND', 'NAME', 'STATE', 'SIZE', 'LAYOUT', 'AGE', 'CREATOR', 'HELD BY']
const figures = [3, 4, 5, 6]
/** Of one role; the rest are counted. */
const mostPidsShown = 4

export function formatObjects(entries: readonly ObjectEntry[], now = Date.now()): string {
  return formatColumns([heading, ...entries.map((entry) => row(entry, now))], figures)
}

function row(entry: ObjectEntry, now: number): string[] {
  return [
    entry.kind,
    entry.name,
    entry.state.replace('-', ' '),
    hasNoSize(entry) ? '-' : formatBytes(entry.size),
    entry.layout ?? '-',
    entry.created === undefined ? '-' : formatAge(now - entry.created.getTime()),
    entry.creator === undefined ? '-' : String(entry.creator),
    [formatHolders(entry.holders), entry.detail].filter((part) => part !== '').join('; '),
  ]
}

/** Nothing is in it: it only lies there. */
function hasNoSize({ kind }: ObjectEntry): boolean {
  return kind === 'doorbell' || kind === 'listener'
}

/** `producer 123, consumer 124 (dead) 125 (dead)`; processes of one role together. */
export function formatHolders(holders: readonly ObjectHolder[]): string {
  const groups = new Map<string, string[]>()
  for (const { role, alive, pid } of holders) {
    const key = `${role}\0${alive ? '' : ' (dead)'}`
    const pids = groups.get(key) ?? []
    groups.set(key, pid === undefined ? pids : [...pids, String(pid)])
  }
  return [...groups]
    .map(([key, pids]) => {
      const [role = '', dead = ''] = key.split('\0')
      const more = pids.length - mostPidsShown
      const shown = [...pids.slice(0, mostPidsShown), ...(more > 0 ? [`and ${more} more`] : [])]
      // Of each: at the end, one could not tell whether it is said of the last one alone.
      return shown.length === 0 ? role + dead : [role, ...shown.map((one) => one + dead)].join(' ')
    })
    .join(', ')
}

export function formatAge(milliseconds: number): string {
  const steps: readonly (readonly [unit: string, seconds: number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ]
  const seconds = Math.max(0, milliseconds / 1000)
  const [unit, size] = steps.find(([, step]) => seconds >= step) ?? ['s', 1]
  return `${Math.floor(seconds / size)} ${unit}`
}
