// The streams of a server: a connection for each client that asked for one.

import { startTimer, stopTimer } from '../base/time.js'
import { queueChannel } from './streams/channel.js'
import { readConnection } from './streams/options.js'
import { StreamServer, type ServedMethod } from './streams/server.js'
import { newAddress, queuesOf } from './stream-address.js'
import { openQueues } from './stream-queues.js'

/** A client that has asked comes at once, or it is gone. */
const patienceMs = 5000

export class Connections {
  readonly #name: string
  readonly #methods: readonly ServedMethod[]
  readonly #all = new Set<StreamServer>()

  constructor(name: string, methods: readonly ServedMethod[]) {
    this.#name = name
    this.#methods = methods
  }

  /** Handlers at work, over all connections. */
  get atWork(): number {
    let count = 0
    for (const { atWork } of this.#all) count += atWork
    return count
  }

  /** A new one: its address. */
  open(): string {
    const address = newAddress(this.#name)
    const { up, down } = queuesOf(address)
    const { producer, consumer } = openQueues(down, up)
    // What waits for clients keeps nothing alive: the server does.
    consumer.unref()
    producer.unref()
    const channel = queueChannel({ producer, consumer })
    const connection = new StreamServer(channel, readConnection({}), this.#methods)
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

  close(): void {
    for (const connection of [...this.#all]) connection.close()
  }
}
