/**
 * A gateway joins two addresses: jobs, messages, calls and frames go from one to the other, and nothing is lost when it dies.
 *
 * @module millrace/gateway
 */

export type {
  CallsRoute,
  FramesRoute,
  GatewayConfig,
  RouteBase,
  RouteConfig,
  RouteStatus,
  TopicsRoute,
  WorkRoute,
} from './gateway/config.js'
export { Gateway } from './gateway/gateway.js'
