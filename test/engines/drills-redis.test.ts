// The failure drills, over Redis.

import test from 'ava'

import { drill } from './support/drills/suite.js'
import { openBus } from './support/drills/topics.js'
import type { DrilledEngine } from './support/drills/engine.js'
import { redisClient, redisServer, type RedisServer } from './support/redis.js'

let names = 0

const redis: DrilledEngine<RedisServer> = {
  name: 'Redis',
  newName: () => `drill-${String(++names)}`,
  cure: /redis-server/,
  tooLarge: /proto-max-bulk-len|client-output-buffer-limit/,
  secrets: { right: 'u:ri%25ght', wrong: ['u:wr%20ong', ''] },
  server: (t, { started, password = false, certificate, small = false, keeps = false }) =>
    redisServer(t, {
      ...(started === undefined ? {} : { started }),
      ...(certificate === undefined ? {} : { certificate }),
      config: [
        ...(password ? ['user default off', 'user u on >ri%ght ~* &* +@all'] : []),
        ...(keeps ? ['appendonly yes', 'appendfsync always'] : []),
        ...(small
          ? ['proto-max-bulk-len 1mb', 'client-output-buffer-limit pubsub 1mb 1mb 60']
          : []),
      ],
    }),

  work: {
    heartbeat: 2000,
    leaseMs: 1000,
    kept: { durability: 'disk' },
    most: 2 ** 20,
    occupy: async (t, server, name) => {
      const client = await redisClient(t, server)
      await client.sendCommand(['SET', name, 'x'])
    },
    occupied: /is a string of somebody else/,
    remove: async (_t, server) => {
      await server.told('FLUSHALL')
    },
    own: {},
  },

  topics: {
    heartbeat: 2000,
    most: 0.75 * 2 ** 20,
    fits: 0.75 * 2 ** 20,
    own: {
      poison: {
        told: 'no queue groups, so nothing comes twice',
        drill: async (t) => {
          const server = await redisServer(t, {})
          const bus = openBus(t, redis as never, server.address('plant'))
          await t.throwsAsync(bus.subscribe('x', { queue: 'g' }), {
            code: 'ERR_MILLRACE_UNSUPPORTED',
            message: /take a work queue/,
          })
        },
      },
    },
  },
}

drill(test, redis)
