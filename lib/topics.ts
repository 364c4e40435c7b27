/**
 * Publish and subscribe: {@link Topics}, messages from many to many by subjects, in one order, with memory for those who come
 * late; {@link topics}, the same with types and codecs.
 *
 * @module millrace/topics
 */

import { topicsElsewhere } from './topics/elsewhere.js'

topicsElsewhere(() => require('./remote/open.js') as typeof import('./remote/open.js'))

export type { ReconnectOptions } from './net/backoff.js'
export type { RemoteOptions, Share, ShareOptions } from './net/share.js'
export type { TopicsTraits } from './topics/traits.js'
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
export type { GroupSubscription } from './topics/group.js'
export type { TopicJob } from './topics/group-job.js'
export type { GivenHeaders, Headers } from './topics/headers.js'
export type { LoanFillOptions } from './base/fill-loan.js'
export type { FillSource } from './base/fill.js'
export { TopicLoan } from './topics/loan.js'
export { TopicMessage } from './topics/message.js'
export type {
  GroupOptions,
  MessageOptions,
  Policy,
  PublishOptions,
  PublishSyncOptions,
  SubscribeOptions,
  TopicsOptions,
} from './topics/options.js'
export type { TopicsStats } from './topics/stats.js'
export { Subscription } from './topics/subscription.js'
export { Topics } from './topics/topics.js'
export {
  topics,
  TypedSubscription,
  TypedTopics,
  type KeyOf,
  type NamedCodecs,
  type NamedTypes,
  type PublishedOf,
  type ReceivedOf,
  type SubjectsOf,
  type TopicTypes,
  type TypedMessage,
  type TypedOptions,
} from './topics/typed.js'
