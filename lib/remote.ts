/**
 * What opens the patterns by addresses that are not this machine's memory. Loaded by the entry points of the patterns, when such an
 * address is first named.
 *
 * @module
 */

export {
  connectCalls,
  describeCalls,
  openTopics,
  openWork,
  serveCalls,
  shareTopics,
  shareWork,
} from './remote/open.js'
/** @internal What gateways of two hosts speak by. */
export { dial } from './remote/dial.js'
/** @internal */
export { share } from './remote/sharing.js'
