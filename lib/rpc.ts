/**
 * Calls: functions that any number of processes serve, and any number of others call, through shared memory.
 *
 * @module millrace/rpc
 */

import { callsElsewhere } from './rpc/elsewhere.js'

callsElsewhere(() => require('./remote/open.js') as typeof import('./remote/open.js'))

export type { ReconnectOptions } from './net/backoff.js'
export type { RemoteOptions, ShareOptions } from './net/share.js'
export type { LoanFillOptions } from './base/fill-loan.js'
export type { FillSource } from './base/fill.js'
export { AnswerLoan } from './rpc/answer-loan.js'
export { CallClient } from './rpc/client.js'
export { CallResult } from './rpc/lent-result.js'
export { CallLoan, type LoanCallOptions } from './rpc/loan.js'
export {
  contract,
  type Argument,
  type CallFunction,
  type CallForms,
  type Client,
  type Contract,
  type ContractOptions,
  type HandlerContext,
  type HandlerForms,
  type Handlers,
  type InPlace,
  type Items,
  type KindOf,
  type Lends,
  type Methods,
  type Reply,
  type TypesOf,
} from './rpc/contract.js'
export {
  call,
  duplex,
  stream,
  upload,
  type Describe,
  type Method,
  type MethodKind,
  type MethodOptions,
  type MethodTypes,
  type PlainTypes,
  type Received,
  type SchemaTypes,
  type Sent,
  type ValueType,
} from './rpc/methods.js'
export { protoService, type ProtoOptions } from './rpc/proto-service.js'
export { connectOver, serveOver } from './rpc/over.js'
export { channelPair, queueChannel, type FrameChannel } from './rpc/streams/channel.js'
export type { StreamClient } from './rpc/streams/client.js'
export type { ConnectionOptions } from './rpc/streams/options.js'
export type { StreamServer } from './rpc/streams/server.js'
export type { StandardIssue, StandardResult, StandardSchema, StandardStep } from './rpc/schema.js'
export {
  bytesCodec,
  json,
  msgpack,
  structCodec,
  structured,
  type Codec,
  type CodecName,
  type CodecStruct,
  type StructIn,
  type StructOut,
} from './codec/codec.js'
export type {
  CallLimits,
  CallMemoryOptions,
  CallOptions,
  ConnectOptions,
  ContractAtOptions,
  InPlaceOptions,
  ServeOptions,
  StreamServeOptions,
} from './rpc/options.js'
export { connect, contractAt, serve, type Connected } from './rpc/serve.js'
export type { CallStats } from './rpc/stats.js'
export { CallServer } from './rpc/server.js'
/** @internal */
export { answerUnary, refusalOf, unaryMethod } from './rpc/unary.js'
/** @internal */
export { answerMany, manyMethod } from './rpc/many.js'
