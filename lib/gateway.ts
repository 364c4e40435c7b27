/**
 * A gateway joins two addresses: jobs, messages, calls and frames go from one to the other, and nothing is lost when it dies.
 *
 * @module millrace/gateway
 */

export type {
  CallsRoute,
  FrameDrop,
  FramesRoute,
  FramesStatus,
  GatewayConfig,
  RouteBase,
  RouteConfig,
  RouteStatus,
  TopicsRoute,
  WorkRoute,
} from './gateway/config.js'
export { Gateway } from './gateway/gateway.js'
export { readGatewayConfig } from './gateway/service/config-file.js'
/** @internal */
export { judgeFile, type Judged, type ServiceConfig } from './gateway/service/config-file.js'
/** @internal */
export { hostAndPort as httpPlace, type HttpPlace } from './telemetry/http-place.js'
/** @internal */
export { runService, type ServiceOptions } from './gateway/service/service.js'
