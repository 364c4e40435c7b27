/**
 * Calls: functions that any number of processes serve, and any number of others call, through shared memory.
 *
 * @module millrace/rpc
 */

export type {
  CallLimits,
  CallMemoryOptions,
  CallOptions,
  ConnectOptions,
  ServeOptions,
} from './rpc/options.js'
