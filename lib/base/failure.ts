// What goes over to the other side when a side gives up.

import { show } from './options.js'

/** As many UTF-16 units as there are bytes for it in shared memory: no text that fits has more. */
const most = 200

/**
 * The text of whatever was thrown: of an error its message. This is called where something has failed already, and does not
 * fail itself.
 */
export function reasonText(reason: unknown): string {
  if (reason === undefined) return ''
  try {
    return textOf(reason).slice(0, most).replaceAll('\0', ' ') // which would end it for C
  } catch {
    return '' // an object that does not let itself be looked at
  }
}

function textOf(reason: unknown): string {
  if (typeof reason === 'string') return reason
  // Not `instanceof`: errors of other realms (jest, vm) are none of ours.
  if (typeof reason !== 'object' || reason === null || !('message' in reason)) return show(reason)
  const { message } = reason
  if (typeof message !== 'string') return show(reason)
  return message === '' && 'name' in reason ? String(reason.name) : message
}
