// What queues and buses over Kafka have in common: one connection to a cluster.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { EngineConnection, EngineLine } from '../port.js'
import type { KafkaPlace } from './place.js'
import type { KafkaConnection, KafkaLibrary } from './port.js'

/** Milliseconds without a sign of life after which a member of a group is dead, if nobody says otherwise. */
const silenceMs = 10_000
/** As good as never: Kafka knows no member that cannot die. */
const longestSilenceMs = 300_000

export class KafkaLine implements EngineLine {
  readonly shown: string
  readonly topic: string
  readonly ended: Promise<Error | undefined>
  protected readonly kafka: KafkaConnection
  protected readonly sessionMs: number
  #end!: (why: Error | undefined) => void
  #closed = false
  #keeping: Timer | undefined

  constructor(
    kafka: KafkaConnection,
    { shown, topic }: KafkaPlace,
    { heartbeat = silenceMs }: EngineConnection,
  ) {
    this.kafka = kafka
    this.shown = shown
    this.topic = topic
    this.sessionMs = heartbeat === 0 ? longestSilenceMs : heartbeat
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    void kafka.ended.then((why) => {
      this.#over(why)
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  close(): void {
    this.#over(undefined)
  }

  /** Sockets of Kafka come and go; what keeps the process alive is here. */
  hold(alive: boolean): void {
    stopTimer(this.#keeping)
    this.#keeping =
      alive && !this.#closed ? startTimer(2 ** 31, () => undefined, { alive }) : undefined
  }

  /** It goes no further on this connection. */
  fail(why: MillraceError): void {
    this.#over(why)
  }

  /** What waits here is told that nothing comes any more. */
  protected over(): void {
    // Whoever has something that waits.
  }

  gone(executed: 'no' | 'unknown'): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to '${this.shown}' has ended`,
      { executed },
    )
  }

  #over(why: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.hold(false)
    this.over()
    void this.kafka.close()
    this.#end(why)
  }
}

/** @throws MillraceError (as rejection) `PERMISSION` (user, password), `UNREACHABLE`, `TIMEOUT`, `ABORTED` */
export async function kafkaConnect(
  library: KafkaLibrary,
  place: KafkaPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<KafkaConnection> {
  const kafka = await library.connect(place, connection)
  if (!signal.aborted) return kafka
  await kafka.close()
  throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for the connection any more')
}
