// A container may have a clock of its own: its time namespace has an offset. What processes share goes by the host's.

import { spawnSync } from 'node:child_process'
import test from 'ava'
import { SharedBreaker, SharedRateLimiter } from 'millrace/resilience'

import { uniqueName } from '../support/names.js'

const inNamespace = (seconds: number) => ['-T', '--monotonic', String(seconds), '-f']
/** Only root can make one, of a kernel that has them; elsewhere these are reported as skipped. */
const withNamespaces =
  spawnSync('unshare', [...inNamespace(1000), 'true']).status === 0 ? test.serial : test.serial.skip

const program = `
  const { SharedBreaker, SharedRateLimiter } = require('millrace/resilience')
  const limiter = SharedRateLimiter.open(process.argv[1])
  const breaker = SharedBreaker.open(process.argv[1])
  const seen = { clock: process.hrtime()[0], ...limiter.peek(), retryAfter: breaker.retryAfter }
  limiter.tryTake()
  console.log(JSON.stringify(seen))`

for (const offset of [1_000_000, 5000]) {
  withNamespaces(`a process whose clock is ${String(offset)} s ahead sees what all see`, (t) => {
    const name = uniqueName(t)
    using limiter = SharedRateLimiter.open(name, { rate: 1, per: 3_600_000, burst: 3 })
    t.teardown(() => SharedRateLimiter.unlink(name))
    using breaker = SharedBreaker.open(name, { halfOpenAfter: 3_600_000 })
    t.teardown(() => SharedBreaker.unlink(name))
    t.true(limiter.tryTake(2))
    breaker.trip()
    const args = [...inNamespace(offset), process.execPath, '-e', program, name]
    const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
    t.is(stderr, '')
    const seen = JSON.parse(stdout) as Record<string, number>
    t.true(seen['clock']! >= offset, 'it has that clock')
    t.is(seen['remaining'], 1)
    t.true(seen['fullMs']! > 7_100_000 && seen['fullMs']! <= 7_200_000, String(seen['fullMs']))
    t.true(seen['retryAfter']! > 3_500_000)
    t.is(limiter.peek().remaining, 0, 'and what it takes is taken for all')
    t.true(limiter.peek().fullMs <= 10_800_000)
  })
}
