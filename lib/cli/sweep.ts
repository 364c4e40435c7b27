// `millrace sweep [PREFIX]`: removes what nobody holds.

import { sweep as sweepObjects, type ObjectEntry, type SweepResult } from '../index.js'
import { nameHere } from './here.js'
import { formatObjects } from './objects.js'
import { onePrefix, parseCommand } from './usage.js'

export function sweep(args: readonly string[]): Promise<void> {
  const parsed = parseCommand('sweep', args, [], ['kept', 'semaphores', 'dry-run', 'json'])
  if (parsed === undefined) return Promise.resolve()
  const { kept, semaphores, json, 'dry-run': dryRun } = parsed.values
  const prefix = nameHere('sweep', onePrefix(parsed.positionals))
  const result = sweepObjects({ prefix, kept, semaphores, dryRun })
  process.stdout.write(
    json === true ? `${JSON.stringify(result, undefined, 2)}\n` : describe(result, dryRun === true),
  )
  const stuck = result.left.filter(isRubbish)
  if (stuck.length === 0) return Promise.resolve()
  const paths = stuck.map(({ path }) => path).join(', ')
  return Promise.reject(new Error(`could not be removed: ${paths}; remove it as its owner`))
}

function describe({ removed, left }: SweepResult, dryRun: boolean): string {
  if (removed.length + left.length === 0) return 'nothing to sweep\n'
  const verb = dryRun ? 'would be removed' : 'removed'
  return section(removed, verb) + section(left, 'left')
}

function section(entries: readonly ObjectEntry[], what: string): string {
  if (entries.length === 0) return ''
  return `${entries.length} ${what}:\n${formatObjects(entries)}`
}

function isRubbish({ state }: ObjectEntry): boolean {
  return state === 'abandoned' || state === 'half-created' || state === 'corrupt'
}
