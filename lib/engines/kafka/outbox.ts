// What is on its way into a topic: many at a time, one batch after the other, so that records of one key keep their order. A record that
// was refused for now is tried again, for a while; one that may have been written never is.

import { forgetAbort, whenAborted } from '../../base/abort-signals.js'
import { now, startTimer } from '../../base/time.js'
import type { MillraceError } from '../../errors.js'
import { comesLater, kafkaError } from './errors.js'
import type { KafkaLine } from './line.js'
import type { KafkaConnection, KafkaRecord } from './port.js'

const mostRecords = 512
/** Well below what a broker takes in one request. */
const mostBytes = 262_144
/** Milliseconds for which a record is tried again before the connection is given up. */
const patienceMs = 5000
const shortestPause = 20
const longestPause = 500

interface Item {
  readonly record: KafkaRecord
  readonly done: () => void
  readonly failed: (error: MillraceError) => void
  /** A broker found the batch too large that it was in. */
  alone: boolean
}

export class Outbox {
  readonly #kafka: KafkaConnection
  readonly #line: KafkaLine
  readonly #topic: string
  readonly #items: Item[] = []
  #running: Promise<void> | undefined
  #failingSince: number | undefined
  #pause = shortestPause

  constructor(kafka: KafkaConnection, line: KafkaLine, topic: string) {
    this.#kafka = kafka
    this.#line = line
    this.#topic = topic
  }

  /** Resolves when all replicas in sync have it. What was not sent when the signal aborts is not sent any more. */
  put(record: KafkaRecord, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#line.closed) {
        reject(this.#line.gone('no'))
        return
      }
      const leave = {
        aborted: (): void => {
          const at = this.#items.indexOf(item)
          if (at >= 0) this.#items.splice(at, 1)
        },
      }
      const over = (): void => {
        if (signal !== undefined) forgetAbort(signal, leave)
      }
      const item: Item = {
        record,
        done: () => {
          over()
          resolve()
        },
        failed: (error) => {
          over()
          reject(error)
        },
        alone: false,
      }
      if (signal !== undefined) whenAborted(signal, leave)
      this.#items.push(item)
      this.#running ??= this.#run()
    })
  }

  /** When nothing is on its way. */
  async flushed(): Promise<void> {
    await this.#running
  }

  /** Nothing goes out any more. */
  end(): void {
    for (const { failed } of this.#items.splice(0)) failed(this.#line.gone('no'))
  }

  async #run(): Promise<void> {
    try {
      await Promise.resolve() // what is put in this turn goes together
      while (this.#items.length > 0) await this.#send(this.#next())
    } finally {
      this.#running = undefined
    }
  }

  #next(): Item[] {
    let bytes = 0
    let count = 0
    for (const { record, alone } of this.#items) {
      bytes += record.value.length
      if (count > 0 && (alone || bytes > mostBytes || count === mostRecords)) break
      count++
      if (alone) break
    }
    return this.#items.splice(0, count)
  }

  async #send(items: readonly Item[]): Promise<void> {
    const outcomes = await this.#kafka.produce(
      this.#topic,
      items.map(({ record }) => record),
    )
    const again: Item[] = []
    let last: Error | undefined
    for (const [at, item] of items.entries()) {
      const error = outcomes[at]
      if (error === undefined) {
        item.done()
        continue
      }
      const told = kafkaError(this.#line.shown, error, 'unknown')
      if (told.code === 'ERR_MILLRACE_TOO_LARGE' && items.length > 1) {
        item.alone = true
        again.push(item)
      } else if (comesLater(error) && !this.#line.closed) {
        last = error
        again.push(item)
      } else {
        item.failed(told)
      }
    }
    this.#items.unshift(...again)
    if (this.#line.closed) this.end()
    else await this.#afterFailure(last)
  }

  async #afterFailure(error: Error | undefined): Promise<void> {
    if (error === undefined) {
      this.#failingSince = undefined
      this.#pause = shortestPause
      return
    }
    this.#failingSince ??= now()
    if (now() - this.#failingSince > patienceMs) {
      this.#line.fail(kafkaError(this.#line.shown, error, 'no'))
      return
    }
    const pause = this.#pause
    this.#pause = Math.min(pause * 2, longestPause)
    await new Promise<void>((resolve) => {
      startTimer(pause, resolve)
    })
  }
}
