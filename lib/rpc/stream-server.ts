// The streams of a server: a connection for each client that asked for one.

import { startTimer, stopTimer } from '../base/time.js'
import { queueChannel } from './streams/channel.js'
import type { GivenStreamServer } from './options.js'
import { StreamServer, type ServedMethod } from './streams/server.js'
import { newAddress, queuesOf, readAddress } from './stream-address.js'
import { openQueues } from './stream-queues.js'

/** A client that has asked comes at once, or it is gone. */
const patienceMs = 5000

export class Connections {
  readonly #name: string
  readonly #methods: readonly ServedMethod[]
  readonly #given: GivenStreamServer
  readonly #all = new Set<StreamServer>()

  constructor(name: string, methods: readonly ServedMethod[], given: GivenStreamServer) {
    this.#name = name
    this.#methods = methods
    this.#given = given
  }

  /** Handlers at work, over all connections. */
  get atWork(): number {
    let count = 0
    for (const { atWork } of this.#all) count += atWork
    return count
  }

  /**
   * A new one, at the address that the client has found for it: so the client knows what to remove if this process dies before it can answer.
   *
   * @throws MillraceError `INVALID_ARGUMENT`, and as `SpscQueue.producer`
   */
  open(given: Uint8Array): string {
    // A client of an older version leaves it to the server.
    const address = given.length === 0 ? newAddress(this.#name) : readAddress(this.#name, given)
    const { up, down } = queuesOf(address)
    const { producer, consumer } = openQueues(down, up, this.#given.capacity)
    // What waits for clients keeps nothing alive: the server does.
    consumer.unref()
    producer.unref()
    const channel = queueChannel({ producer, consumer })
    const connection = new StreamServer(channel, this.#given.connection, this.#methods)
    const timer = startTimer(patienceMs, () => {
      if (!consumer.closed && consumer.peer === 'absent') connection.close()
    })
    this.#all.add(connection)
    void connection.ended.then(() => {
      stopTimer(timer)
      this.#all.delete(connection)
    })
    return address
  }

  /** No stream is begun any more; those that have begun go on. */
  leave(): void {
    for (const connection of this.#all) StreamServer.leave(connection)
  }

  close(): void {
    for (const connection of [...this.#all]) connection.close()
  }
}
