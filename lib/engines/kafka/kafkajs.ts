// kafkajs behind the port. Its own retries are few, so that a connection that does not work ends, and whoever holds it makes another one.

import type { Socket } from 'node:net'

import { startTimer, stopTimer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import { clock } from '../clock.js'
import { fileOfPeer } from '../peer.js'
import type { EngineConnection } from '../port.js'
import { kafkaError } from './errors.js'
import { ownCopy } from './own-copy.js'
import type { KafkaPlace } from './place.js'
import type {
  KafkaArrival,
  KafkaConnection,
  KafkaConsumption,
  KafkaLibrary,
  KafkaMember,
  KafkaRecord,
  KafkaShare,
} from './port.js'

const connectMs = 3000
const answerMs = 10_000
/** For which closing waits: libraries have hung there. */
const closeMs = 3000
/** For which a broker may wait for something new before it answers. */
const newsMs = 500
/** For which the reading of a broker's other partitions waits for room in one of them. */
const patienceMs = 200
const mostOfPartition = 1_048_576
const mostOfBroker = 8_388_608
const retry = {
  ...{ retries: 4, initialRetryTime: 100, factor: 0.2, multiplier: 2, maxRetryTime: 2000 },
  restartOnFailure: () => Promise.resolve(false),
}

// What is used of kafkajs

interface Message {
  readonly key: Buffer | null
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
  readonly timestamp: string
  readonly partition?: number
}
interface PartitionMetadata {
  readonly partitionId: number
  readonly leader: number
}
type Partitioner = (given: {
  readonly topic: string
  readonly partitionMetadata: readonly PartitionMetadata[]
  readonly message: Pick<Message, 'key' | 'partition'>
}) => number
interface Producer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  send(batch: {
    readonly topic: string
    readonly acks: -1
    readonly timeout: number
    readonly messages: readonly Message[]
  }): Promise<unknown>
}
interface Received {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>
  readonly timestamp: string
  readonly offset: string
}
interface TopicOffsets {
  readonly topic: string
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
}
interface Joining {
  readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
}
interface Syncing {
  readonly generationId: number
  readonly memberId: string
  readonly groupAssignment: readonly { readonly memberAssignment: Buffer }[]
}
/** A broker, as whoever assigns partitions gets at it. */
interface Broker {
  joinGroup(asked: Joining): Promise<object>
  syncGroup(asked: Syncing): Promise<object>
  heartbeat(asked: object): Promise<unknown>
  leaveGroup(asked: object): Promise<unknown>
  offsetCommit(asked: object): Promise<unknown>
  offsetFetch(asked: object): Promise<{ readonly responses: readonly TopicOffsets[] }>
}
interface Cluster {
  findGroupCoordinator(asked: { readonly groupId: string }): Promise<Broker>
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[]
  fetchTopicsOffset(topics: readonly object[]): Promise<readonly TopicOffsets[]>
}
interface Consumer {
  readonly events: Readonly<Record<'GROUP_JOIN' | 'CRASH', string>>
  on(event: string, told: (event: { readonly payload: never }) => void): void
  connect(): Promise<void>
  subscribe(to: { readonly topic: string; readonly fromBeginning: boolean }): Promise<void>
  run(options: object): Promise<void>
  seek(to: { readonly topic: string; readonly partition: number; readonly offset: string }): void
  pause(what: readonly object[]): void
  resume(what: readonly object[]): void
  disconnect(): Promise<void>
}
type Assigner = (given: { readonly cluster: Cluster }) => object
interface Client {
  producer(options: object): Producer
  consumer(options: object): Consumer
}
interface Package {
  readonly Kafka: new (options: object) => Client
  readonly Partitioners: { readonly DefaultPartitioner: () => Partitioner }
  readonly PartitionAssigners: { readonly roundRobin: Assigner }
}

const loaded: { library?: Package } = {}

/** @throws MillraceError `MISSING_PEER` */
export function kafkajs(): KafkaLibrary {
  const library = (loaded.library ??= ownCopy(
    fileOfPeer('kafkajs', 'addresses of kafka://'),
  ) as Package)
  return {
    name: 'kafkajs',
    connect: async (place, connection) => {
      const made = new Connection(library, place, connection)
      await made.open()
      return made
    },
  }
}

class Connection implements KafkaConnection {
  readonly ended: Promise<Error | undefined>
  #end!: (error: Error | undefined) => void
  readonly #shown: string
  readonly #library: Package
  readonly #client: Client
  readonly #producer: Producer
  readonly #partitionOf: Partitioner
  /** What is known of topics that were produced to. */
  readonly #partitions = new Map<string, readonly PartitionMetadata[]>()
  readonly #members = new Set<Member>()
  readonly #sockets = new Set<Socket>()
  #isOpen = false
  #closing: Promise<void> | undefined

  constructor(library: Package, place: KafkaPlace, { tls, heartbeat }: EngineConnection) {
    this.#shown = place.shown
    this.#library = library
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    this.#client = new library.Kafka({
      brokers: place.brokers,
      clientId: `millrace-${String(process.pid)}`,
      ...(tls === undefined ? {} : { ssl: tls }),
      ...(place.sasl === undefined ? {} : { sasl: place.sasl }),
      connectionTimeout: connectMs,
      authenticationTimeout: answerMs,
      requestTimeout: heartbeat === undefined || heartbeat === 0 ? answerMs : heartbeat,
      // Each of the brokers is tried that the address names.
      retry: { ...retry, retries: Math.max(2, place.brokers.length) },
      socketFactory: (to: SocketWanted) => this.#socketTo(to),
      logLevel: 0,
      logCreator: () => () => undefined,
    })
    this.#partitionOf = library.Partitioners.DefaultPartitioner()
    this.#producer = this.#client.producer({
      // Whoever produces decides what is tried again: some of what fails may have been written.
      retry: { ...retry, retries: 0 },
      createPartitioner: (): Partitioner => (given) => {
        this.#partitions.set(given.topic, given.partitionMetadata)
        return this.#partitionOf(given)
      },
    })
  }

  async open(): Promise<void> {
    try {
      await this.#producer.connect()
      this.#isOpen = true
    } catch (error) {
      void this.close()
      throw kafkaError(this.#shown, error, 'no')
    }
  }

  async produce(
    topic: string,
    records: readonly KafkaRecord[],
  ): Promise<readonly (Error | undefined)[]> {
    const known = this.#partitions.get(topic)
    if (known === undefined) {
      // The first one tells of the partitions.
      const [first, ...rest] = records
      if (first === undefined) return []
      const outcome = await this.#send(topic, undefined, [first])
      const others =
        outcome === undefined ? await this.produce(topic, rest) : rest.map(() => outcome)
      return [outcome, ...others]
    }
    // What fails in one partition says nothing of the others: each has a request of its own. So what may go anywhere goes to one of
    // them, and the next time to the next one, as Kafka's own clients do it.
    const byPartition = new Map<number, KafkaRecord[]>()
    let anywhere: number | undefined
    const placed = records.map((record) => {
      const key = keyOf(record)
      const of = (): number =>
        this.#partitionOf({ topic, partitionMetadata: known, message: { key } })
      const partition = key === null ? (anywhere ??= of()) : of()
      const its = byPartition.get(partition) ?? []
      byPartition.set(partition, its)
      its.push(record)
      return partition
    })
    const outcomes = new Map<number, Error | undefined>()
    await Promise.all(
      [...byPartition].map(async ([partition, its]) => {
        outcomes.set(partition, await this.#send(topic, partition, its))
      }),
    )
    return placed.map((partition) => outcomes.get(partition))
  }

  async #send(
    topic: string,
    partition: number | undefined,
    records: readonly KafkaRecord[],
  ): Promise<Error | undefined> {
    const messages = records.map((record) => ({
      key: keyOf(record),
      value: bufferOf(record.value),
      headers: record.headers,
      timestamp: String(record.timestamp),
      ...(partition === undefined ? {} : { partition }),
    }))
    try {
      await this.#producer.send({ topic, acks: -1, timeout: answerMs, messages })
      return undefined
    } catch (error) {
      return error as Error
    }
  }

  async consume(consumption: KafkaConsumption): Promise<KafkaMember> {
    const member = new Member(this.#library, this.#client, consumption)
    this.#members.add(member)
    try {
      await member.join()
      return member
    } catch (error) {
      await member.close()
      throw error
    } finally {
      void member.closed.then(() => this.#members.delete(member))
    }
  }

  close(): Promise<void> {
    return this.#over(undefined)
  }

  #over(why: Error | undefined): Promise<void> {
    return (this.#closing ??= (async () => {
      this.#end(why)
      await inTime(
        Promise.allSettled([
          ...[...this.#members].map((member) => member.close()),
          this.#producer.disconnect(),
        ]),
      )
      for (const socket of this.#sockets) socket.destroy()
    })())
  }

  #socketTo({ host, port, ssl, onConnect }: SocketWanted): Socket {
    const socket =
      ssl === undefined || ssl === null || ssl === false
        ? process.getBuiltinModule('node:net').connect({ host, port, noDelay: true }, onConnect)
        : process.getBuiltinModule('node:tls').connect(
            {
              ...{ host, port },
              ...(process.getBuiltinModule('node:net').isIP(host) === 0
                ? { servername: host }
                : {}),
              ...(typeof ssl === 'object' ? ssl : {}),
            },
            onConnect,
          )
    socket.setKeepAlive(true, 60_000)
    // Whoever waits for something keeps the process alive.
    socket.unref()
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (!this.#isOpen || this.#sockets.size > 0) return
      void this.#over(
        new MillraceError(
          'ERR_MILLRACE_PEER_GONE',
          `no connection to a broker of '${this.#shown}' is left: they have closed them, or are gone`,
          { executed: 'unknown' },
        ),
      )
    })
    return socket
  }
}

interface SocketWanted {
  readonly host: string
  readonly port: number
  readonly ssl?: object | boolean | null
  readonly onConnect: () => void
}

class Member implements KafkaMember {
  readonly closed: Promise<void>
  #tellClosed!: () => void
  readonly #consumption: KafkaConsumption
  readonly #consumer: Consumer
  #cluster!: Cluster
  /** As the library asks it, without what is done here before. */
  #find!: (asked: { readonly groupId: string }) => Promise<Broker>
  #coordinator: Broker | undefined
  #memberId = ''
  #generation = 0
  #share: KafkaShare | undefined
  #closing: Promise<void> | undefined

  constructor({ PartitionAssigners }: Package, client: Client, consumption: KafkaConsumption) {
    this.#consumption = consumption
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
    const { group, sessionMs } = consumption
    this.#consumer = client.consumer({
      groupId: group,
      partitionAssigners: [
        (given: { readonly cluster: Cluster }) => {
          this.#watch(given.cluster)
          return PartitionAssigners.roundRobin(given)
        },
      ],
      sessionTimeout: sessionMs,
      rebalanceTimeout: 2 * sessionMs,
      heartbeatInterval: Math.floor(sessionMs / 4),
      maxWaitTimeInMs: newsMs,
      maxBytesPerPartition: mostOfPartition,
      maxBytes: mostOfBroker,
      retry,
    })
  }

  async join(): Promise<void> {
    const { topic, from } = this.#consumption
    const consumer = this.#consumer
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: from === 'begin' })
    const begin = from === 'begin' ? new Map<number, bigint>() : await this.#uncommitted()
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        const { memberAssignment } = payload as {
          readonly memberAssignment: Readonly<Record<string, readonly number[]>>
        }
        this.#joined(memberAssignment[topic] ?? [], begin)
        resolve()
      })
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        const { error } = payload as { readonly error: Error }
        reject(error)
        if (this.#closing === undefined) this.#consumption.failed(error)
      })
      const batches = { autoCommit: false, partitionsConsumedConcurrently: 64 }
      const eachBatch = (given: BatchGiven): Promise<void> => this.#arrived(given)
      consumer.run({ ...batches, eachBatch }).catch(reject)
    })
  }

  async commit(share: KafkaShare, offsets: ReadonlyMap<number, bigint>): Promise<void> {
    const { group, topic } = this.#consumption
    if (share.generation !== this.#generation) {
      throw Object.assign(new Error('the group has been joined anew'), {
        type: 'ILLEGAL_GENERATION',
      })
    }
    // Who reads alone is no member, and says so: a group that has one refuses it.
    const [memberId, groupGenerationId] = this.#consumption.alone
      ? ['', -1]
      : [this.#memberId, this.#generation]
    const partitions = [...offsets].map(([partition, offset]) => ({
      ...{ partition, offset: String(offset) },
    }))
    const coordinator = (this.#coordinator ??= await this.#find({ groupId: group }))
    try {
      await coordinator.offsetCommit({
        ...{ groupId: group, memberId, groupGenerationId },
        topics: [{ topic, partitions }],
      })
    } catch (error) {
      // It may be another one by now.
      if (this.#coordinator === coordinator) this.#coordinator = undefined
      throw error as Error
    }
  }

  async ends(): Promise<ReadonlyMap<number, bigint>> {
    const { topic } = this.#consumption
    const partitions = this.#cluster
      .findTopicPartitionMetadata(topic)
      .map(({ partitionId }) => ({ partition: partitionId }))
    const asked = [{ topic, partitions, fromBeginning: false }]
    return offsetsOf(await this.#cluster.fetchTopicsOffset(asked))
  }

  close(): Promise<void> {
    return (this.#closing ??= (async () => {
      await inTime(this.#consumer.disconnect().catch(() => undefined))
      this.#tellClosed()
    })())
  }

  /** Where partitions begin that nobody of the group has read yet. */
  async #uncommitted(): Promise<ReadonlyMap<number, bigint>> {
    const { topic, group } = this.#consumption
    const ends = await this.ends()
    const coordinator = await this.#find({ groupId: group })
    const partitions = [...ends.keys()].map((partition) => ({ partition }))
    const asked = { groupId: group, topics: [{ topic, partitions }] }
    const { responses } = await coordinator.offsetFetch(asked)
    const committed = offsetsOf(responses)
    return new Map([...ends].filter(([partition]) => (committed.get(partition) ?? -1n) < 0n))
  }

  /** The library tells nobody before it joins a group again, and not which generation it has joined. */
  #watch(cluster: Cluster): void {
    this.#cluster = cluster
    this.#find = cluster.findGroupCoordinator.bind(cluster)
    cluster.findGroupCoordinator = async (asked) => {
      const coordinator = await this.#find(asked)
      this.#coordinator = coordinator
      const group = this.#consumption.alone ? new GroupOfOne(this.#generation) : coordinator
      const watched: Group = {
        joinGroup: async (given) => {
          await this.#consumption.leaving()
          return await group.joinGroup(given)
        },
        syncGroup: async (given) => {
          const answer = await group.syncGroup(given)
          this.#generation = given.generationId
          this.#memberId = given.memberId
          return answer
        },
        heartbeat: (given) => group.heartbeat(given),
        leaveGroup: (given) => group.leaveGroup(given),
      }
      return Object.assign(Object.create(coordinator) as Broker, watched)
    }
  }

  #joined(partitions: readonly number[], begin: ReadonlyMap<number, bigint>): void {
    const { topic, joined, keeps } = this.#consumption
    const share = { generation: this.#generation, partitions }
    const known = joined(share)
    const isFirst = this.#share === undefined
    this.#share = share
    for (const partition of partitions) {
      const offset = known.get(partition) ?? (isFirst ? begin.get(partition) : undefined)
      if (offset === undefined) continue
      this.#consumer.seek({ topic, partition, offset: String(offset) })
    }
    // What was paused belonged to what was held before.
    this.#consumer.resume([{ topic }])
    if (!keeps || !isFirst) return
    // Whoever has one of them next begins there, too.
    const start = new Map([...begin].filter(([partition]) => partitions.includes(partition)))
    if (start.size > 0) this.commit(share, start).catch(() => undefined) // it begins at the end of its time
  }

  async #arrived({ batch }: BatchGiven): Promise<void> {
    const { topic, arrived } = this.#consumption
    const { partition } = batch
    const share = this.#share
    const room = arrived(partition, batch.messages.map(arrivalOf))
    let timer
    const isSoon = await Promise.race([
      room.then(() => true),
      new Promise<boolean>((resolve) => {
        timer = startTimer(patienceMs, () => {
          resolve(false)
        })
      }),
    ])
    stopTimer(timer)
    if (isSoon || share !== this.#share || this.#closing !== undefined) return
    const what = [{ topic, partitions: [partition] }]
    this.#consumer.pause(what)
    void room.then(() => {
      if (share === this.#share && this.#closing === undefined) this.#consumer.resume(what)
    })
  }
}

type Group = Pick<Broker, 'joinGroup' | 'syncGroup' | 'heartbeat' | 'leaveGroup'>

/** What a coordinator would answer to a group's only member. So no session of a member that died has to be waited for. */
class GroupOfOne implements Group {
  readonly #generation: number

  /** `before`: the last generation of this member; 0: none. The first one is above those of members before it. */
  constructor(before: number) {
    this.#generation = before === 0 ? Math.floor(clock() / 1000) % 0x7fff_ffff : before + 1
  }

  joinGroup({ groupProtocols }: Joining): Promise<object> {
    const [{ name, metadata }] = groupProtocols as [Joining['groupProtocols'][number]]
    const memberId = 'alone'
    return Promise.resolve({
      ...{ generationId: this.#generation, groupProtocol: name, leaderId: memberId, memberId },
      members: [{ memberId, memberMetadata: metadata }],
    })
  }

  /** It has assigned everything to itself; nothing if the topic has no partitions. */
  syncGroup({ groupAssignment }: Syncing): Promise<object> {
    const memberAssignment = groupAssignment[0]?.memberAssignment ?? Buffer.alloc(0)
    return Promise.resolve({ memberAssignment })
  }

  heartbeat(): Promise<void> {
    return Promise.resolve()
  }

  leaveGroup(): Promise<void> {
    return Promise.resolve()
  }
}

interface BatchGiven {
  readonly batch: { readonly partition: number; readonly messages: readonly Received[] }
}

function arrivalOf({ key, value, headers = {}, timestamp, offset }: Received): KafkaArrival {
  const entries = Object.entries(headers).flatMap(([name, given]) => {
    const one = Array.isArray(given) ? given[0] : given
    return one === undefined ? [] : [[name, one.toString()] as const]
  })
  return {
    key: key ?? undefined,
    value: value ?? new Uint8Array(0),
    headers: Object.fromEntries(entries),
    timestamp: Number(timestamp),
    offset: BigInt(offset),
  }
}

function offsetsOf(topics: readonly TopicOffsets[]): ReadonlyMap<number, bigint> {
  return new Map(
    topics.flatMap(({ partitions }) =>
      partitions.map(({ partition, offset }) => [partition, BigInt(offset)] as const),
    ),
  )
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function keyOf({ key }: KafkaRecord): Buffer | null {
  return key === undefined ? null : bufferOf(key)
}

/** When it is done, or has had its time; the process lives that long. */
async function inTime(done: Promise<unknown>): Promise<void> {
  let timer
  await Promise.race([
    done,
    new Promise<void>((resolve) => {
      timer = startTimer(closeMs, resolve, { alive: true })
    }),
  ])
  stopTimer(timer)
}
