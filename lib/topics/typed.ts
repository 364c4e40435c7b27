// Values in the place of bytes: each subject has a struct or a codec, found by a pattern.

import type { WaitOptions } from '../base/options.js'
import { show } from '../base/options.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import type { BlockingOptions } from '../base/blocking.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { selectable, type Readiness } from '../base/selectable.js'
import {
  codecOf,
  codecs,
  type bytesCodec,
  type Codec,
  type CodecName,
  type json,
  type msgpack,
  type structured,
} from '../codec/codec.js'
import { isStruct, structCodec, type CodecStruct } from '../codec/struct.js'
import { invalidArgument } from '../errors.js'
import type { TopicMessage } from './message.js'
import type {
  GroupOptions,
  MessageOptions,
  PublishOptions,
  PublishSyncOptions,
  SubscribeOptions,
} from './options.js'
import { checkFilters, matches } from './subjects.js'
import type { Subscription } from './subscription.js'
import type { Topics } from './topics.js'

/**
 * By subjects and filters (`line1.temp`, `line1.*`, `orders.>`): the struct, the codec or the codec's name (`'json'`) of what is
 * published there.
 */
export type TopicTypes = Readonly<Record<string, unknown>>

/** The codecs that have names. */
export interface NamedCodecs {
  /** Bytes as they are. */
  readonly bytes: typeof bytesCodec
  /** JSON. */
  readonly json: typeof json
  /** MessagePack, by the package `msgpackr`. */
  readonly msgpack: typeof msgpack
  /** V8's own. */
  readonly structured: typeof structured
}

/** The same, with codecs in the place of their names. */
export type NamedTypes<Types extends TopicTypes> = {
  readonly [Key in keyof Types]: Types[Key] extends CodecName ? NamedCodecs[Types[Key]] : Types[Key]
}

/** What is received of whatever stands in a type or a map of types: of a struct its values, of a codec too. */
export type ReceivedOf<Type> =
  Type extends CodecStruct<infer _Input, infer Value>
    ? Value
    : Type extends Codec<infer _Input, infer Value>
      ? Value
      : Type

/** What can be published of it. */
export type PublishedOf<Type> =
  Type extends CodecStruct<infer Input, infer _Value>
    ? Input
    : Type extends Codec<infer Input, infer _Value>
      ? Input
      : Type

/** The subjects that a filter has, as far as types can say: `*` and `>` are any text. */
export type SubjectsOf<Filter extends string> = Filter extends '>'
  ? string
  : Filter extends `${infer Before}*${infer After}`
    ? `${Before}${string}${SubjectsOf<After>}`
    : Filter extends `${infer Before}.>`
      ? `${Before}.${string}`
      : Filter

/** Which of the types a subject has, or a filter may have. */
export type KeyOf<Types, Subject extends string> = Subject extends keyof Types
  ? Subject
  : {
      [Key in keyof Types & string]: Subject extends SubjectsOf<Key>
        ? Key
        : Key extends SubjectsOf<Subject>
          ? Key
          : never
    }[keyof Types & string]

/** What is known of the types. */
export interface TypedOptions<Types extends TopicTypes> {
  /**
   * A struct, a codec or the name of one (`'json'`, `'msgpack'`, `'structured'`, `'bytes'`) for each subject or filter; of several
   * that match a subject the first one counts.
   */
  readonly subjects?: Types | undefined
  /** For all subjects that `subjects` says nothing of. */
  readonly codec?: CodecName | Codec<never, unknown> | undefined
}

/** A message whose payload is a value. */
export interface TypedMessage<Value> {
  /** Under which it was published. */
  readonly subject: string
  /** What was published, without memory of the bus behind it. */
  readonly value: Value
  /** Its place in the one order of the bus. */
  readonly index: number
  /** Messages for this subscription that were overwritten since the one before. */
  readonly missed: number
  /** Milliseconds since 1970. */
  readonly publishedAt: number
  /** What was published beside the value. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * A bus whose messages are values: by structs, or by a codec.
 *
 * ```ts
 * const plant = topics(bus, { subjects: { 'line1.temp': Temp, 'orders.>': orders } })
 * await plant.publish('line1.temp', { celsius: 21.5 })
 * for await (const { value } of await plant.subscribe('line1.temp')) console.log(value.celsius)
 * ```
 *
 * With one codec for all, types alone are enough: `topics<{ 'orders.>': Order }>(bus, { codec: 'json' })`.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function topics<const Types extends TopicTypes>(
  bus: Topics,
  options: TypedOptions<Types> & { readonly subjects: Types },
): TypedTopics<NamedTypes<Types>>
export function topics<const Types extends TopicTypes>(
  bus: Topics,
  options: TypedOptions<Types>,
): TypedTopics<Types>
export function topics<const Types extends TopicTypes>(
  bus: Topics,
  options: TypedOptions<Types>,
): TypedTopics<Types> {
  return new TypedTopics<Types>(bus, new Codecs(options))
}

/** A {@link Topics} whose messages are values; made by {@link topics}. It has no handle of its own: closing the bus closes it. */
export class TypedTopics<Types extends TopicTypes> {
  /** Where its messages go. */
  readonly bus: Topics
  readonly #codecs: Codecs

  /** @internal */
  constructor(bus: Topics, codecs: Codecs) {
    this.bus = bus
    this.#codecs = codecs
  }

  /** As `Topics.publish`. Rejects with what the codec throws, too. */
  async publish<Subject extends string>(
    subject: Subject,
    value: PublishedOf<Types[KeyOf<Types, Subject>]>,
    options?: PublishOptions,
  ): Promise<number> {
    return await this.bus.publish(subject, this.#codecs.encodeToKeep(subject, value), options)
  }

  /** As `Topics.tryPublish`. */
  tryPublish<Subject extends string>(
    subject: Subject,
    value: PublishedOf<Types[KeyOf<Types, Subject>]>,
    options?: MessageOptions,
  ): number | undefined {
    return this.bus.tryPublish(subject, this.#codecs.encode(subject, value), options)
  }

  /** As `Topics.publishSync`. */
  publishSync<Subject extends string>(
    subject: Subject,
    value: PublishedOf<Types[KeyOf<Types, Subject>]>,
    options?: PublishSyncOptions,
  ): number {
    return this.bus.publishSync(subject, this.#codecs.encode(subject, value), options)
  }

  /** As `Topics.subscribe`, without `queue`: the jobs of a group are taken by `bus.subscribe`. */
  async subscribe<Filter extends string>(
    filter: Filter | readonly Filter[],
    options?: SubscribeOptions,
  ): Promise<TypedSubscription<ReceivedOf<Types[KeyOf<Types, Filter>]>>> {
    // Types do not allow it. Its jobs would have to be settled, which values cannot be.
    if ((options as Partial<GroupOptions> | null | undefined)?.queue !== undefined) {
      throw invalidArgument(
        'values are for subscriptions of their own: a queue group has jobs; take them by `typed.bus.subscribe(filter, { queue })`',
      )
    }
    const subscription = await this.bus.subscribe(filter, options)
    return new TypedSubscription(subscription, this.#codecs)
  }
}

/**
 * A {@link Subscription} whose messages are values. Whatever receives throws what the codec throws: the message is gone then, and the
 * next one can be received.
 */
export class TypedSubscription<Value> implements AsyncIterable<TypedMessage<Value>> {
  /** What its messages come from. */
  readonly subscription: Subscription
  readonly #codecs: Codecs

  /** @internal */
  constructor(subscription: Subscription, codecs: Codecs) {
    this.subscription = subscription
    this.#codecs = codecs
  }

  /** As `Subscription.receive`. */
  async receive(options?: WaitOptions): Promise<TypedMessage<Value>> {
    return this.#typed(await this.subscription.receive(options))
  }

  /** As `Subscription.tryReceive`. */
  tryReceive(): TypedMessage<Value> | undefined {
    const message = this.subscription.tryReceive()
    return message === undefined ? undefined : this.#typed(message)
  }

  /** As `Subscription.receiveSync`. */
  receiveSync(options?: BlockingOptions): TypedMessage<Value> {
    return this.#typed(this.subscription.receiveSync(options))
  }

  /** As `Subscription.messages`. */
  messages(options?: IterationOptions): Iteration<TypedMessage<Value>> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => this.tryReceive(),
        handle: this.subscription,
      },
      options,
    )
  }

  /** As `messages`. */
  [Symbol.asyncIterator](): Iteration<TypedMessage<Value>> {
    return this.messages()
  }

  /** What `select` asks. */
  [selectable](): Readiness {
    return this.subscription[selectable]()
  }

  /** As `Subscription.close`. */
  close(): void {
    this.subscription.close()
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  #typed(message: TopicMessage): TypedMessage<Value> {
    try {
      const { subject, index, missed, publishedAt, headers } = message
      const value = this.#codecs.decode(subject, message.bytes) as Value
      return { subject, value, index, missed, publishedAt, headers }
    } finally {
      message.release()
    }
  }
}

/** Which subject has which codec. Asked for every message: what was found is kept. */
export class Codecs {
  readonly #patterns: readonly (readonly [pattern: string, codec: Codec])[]
  readonly #otherwise: Codec | undefined
  readonly #found = new Map<string, Codec>()

  constructor(options: TypedOptions<TopicTypes>) {
    if (typeof options !== 'object' || (options as unknown) === null) {
      throw invalidArgument(`options must be an object, not ${show(options)}`)
    }
    const { subjects = {}, codec } = options
    this.#patterns = Object.entries(subjects).map(([pattern, type]) => {
      checkFilters(pattern)
      return [pattern, codecFor(type, `subjects['${pattern}']`)]
    })
    this.#otherwise = codec === undefined ? undefined : codecFor(codec, 'codec')
    if (this.#patterns.length === 0 && codec === undefined) {
      throw invalidArgument('topics() wants subjects, with a struct or a codec each, or a codec')
    }
  }

  encode(subject: string, value: unknown): Uint8Array {
    return this.#of(subject).encode(value)
  }

  /**
   * As `encode`, for whoever waits before the bytes are copied: those of a codec of the program's are good only until it encodes the
   * next value.
   */
  encodeToKeep(subject: string, value: unknown): Uint8Array {
    const codec = this.#of(subject)
    const bytes = codec.encode(value)
    return ours.has(codec) ? bytes : Uint8Array.prototype.slice.call(bytes)
  }

  decode(subject: string, bytes: Uint8Array): unknown {
    return this.#of(subject).decode(bytes)
  }

  #of(subject: string): Codec {
    const known = this.#found.get(subject)
    if (known !== undefined) return known
    const pattern = this.#patterns.find(([pattern]) => matches(pattern, subject))
    const codec = pattern?.[1] ?? this.#otherwise
    if (codec === undefined) {
      throw invalidArgument(
        `nothing is said of the subject ${show(subject)}: name it in subjects, or give a codec for all others`,
      )
    }
    this.#found.set(subject, codec)
    return codec
  }
}

/** The bytes of each value are its own, or the caller's. */
const ours = new WeakSet<object>(Object.values(codecs))

function codecFor(type: unknown, what: string): Codec {
  if (!isStruct(type)) return codecOf(type, what, 'a struct(), ')
  const codec = codecOf(structCodec(type))
  ours.add(codec)
  return codec
}
