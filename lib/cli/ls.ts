// `millrace ls [PREFIX]`: what lies about.

import { list } from '../index.js'
import { nameHere } from './here.js'
import { formatObjects } from './objects.js'
import { onePrefix, parseCommand } from './usage.js'

export function ls(args: readonly string[]): Promise<void> {
  const parsed = parseCommand('ls', args, [], ['json'])
  if (parsed === undefined) return Promise.resolve()
  const entries = list({ prefix: nameHere('ls', onePrefix(parsed.positionals)) })
  process.stdout.write(
    parsed.values.json === true
      ? `${JSON.stringify(entries, undefined, 2)}\n`
      : entries.length === 0
        ? 'nothing there\n'
        : formatObjects(entries),
  )
  return Promise.resolve()
}
