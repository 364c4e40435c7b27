// Redis (redis://, rediss://): work over a stream with a group of consumers, topics over its channels.

import { invalidArgument, MillraceError } from '../errors.js'
import type { Engine, EngineTraits } from './port.js'
import { redisLibrary } from './redis/library.js'
import { redisPlace } from './redis/place.js'
import { redisTopics } from './redis/topics.js'
import { redisWork } from './redis/work.js'

/** What a key of a queue may be called. */
const queueName = /^[\w.:-]{1,200}$/
/** What a channel begins with. */
const tokens = /^[^\s.*>/]+(?:\.[^\s.*>/]+)*$/

const traits: EngineTraits = {
  work: { leases: 'silence', death: 'timeout', priorities: true, groups: true },
  topics: { waits: false, replays: false, counts: false, redelivers: false, groups: false },
}

export const redis: Engine = {
  name: 'Redis',
  at(address, connection) {
    const place = redisPlace(address, connection)
    redisLibrary()
    const { shown } = place
    const unsupported = (what: string, cure: string): MillraceError =>
      new MillraceError('ERR_MILLRACE_UNSUPPORTED', `${what} '${shown}': ${cure}`)
    return {
      shown,
      traits,
      work(wanted) {
        if (!queueName.test(place.name)) {
          throw invalidArgument(
            `the address '${shown}' must name a queue, of letters, digits and the marks - _ . :, as in 'redis://127.0.0.1:6379/thumbnails'`,
          )
        }
        if (wanted.bytes !== undefined || wanted.deadBytes !== undefined) {
          throw unsupported(
            'bytes of the queue',
            'Redis counts entries; take jobs, and maxmemory of the server',
          )
        }
        return (signal) => redisWork(place, wanted, connection, signal)
      },
      topics() {
        if (place.name !== '' && !tokens.test(place.name)) {
          throw invalidArgument(
            `what stands behind the host in '${shown}' begins each channel: tokens without blanks, * and >, with dots between them, as in 'redis://127.0.0.1:6379/plant'`,
          )
        }
        return (signal) => redisTopics(place, connection, signal)
      },
      calls() {
        throw unsupported(
          'calls over',
          'Redis has no requests; push to a work queue, or take an address of another engine',
        )
      },
    }
  },
}
