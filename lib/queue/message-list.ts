import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

export function checkMessages(messages: readonly unknown[]): void {
  if (Array.isArray(messages)) return
  throw invalidArgument(`messages must be an array of messages, not ${show(messages)}`)
}
