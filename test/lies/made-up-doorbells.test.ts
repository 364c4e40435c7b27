// A peer says that it sleeps at a doorbell that does not exist, before every message. Whoever believes it and
// cannot ring must not make others pay: neither its own channels, nor the peers of those.

import { readFileSync, statSync } from 'node:fs'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { doorbellsOf } from '../support/process.js'
import { consumerParked, overwrite } from '../support/queue-words.js'
import { openPair } from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 20_000

/** How often its main thread has gone to sleep, which is how often it was woken. */
function sleepsOf(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1])
}

/** Says that the consumer sleeps at that doorbell, as the consumer itself would. */
function lie(name: string, doorbell: bigint): void {
  overwrite(name, consumerParked + 8, doorbell)
  overwrite(name, consumerParked + 16, 1n)
  overwrite(name, consumerParked, 2n)
}

test.serial(
  'promise: lies – a doorbell that does not exist wakes nobody and costs no renewal',
  async (t) => {
    const { name, producer, consumer } = openPair(t)
    const innocentName = uniqueName(t)
    const innocent = actor(t)
    using other = SpscQueue.producer(innocentName)
    const pid = await innocent.do(({ SpscQueue, own }, name) => {
      own.consumer = SpscQueue.consumer(name, { poll: 0, spin: 0 })
      own.pending = own.consumer.pop().then((message) => message?.toString())
      return process.pid
    }, innocentName)
    await other.waitForPeer()
    const ours = doorbellsOf(process.pid)[0]!
    const { ino } = statSync(ours)
    // It sleeps once it was asked.
    let slept = sleepsOf(pid)
    await until(async () => {
      const before = slept
      await new Promise((resolve) => setTimeout(resolve, 100))
      slept = sleepsOf(pid)
      return slept === before
    })

    const start = performance.now()
    let rounds = 0
    // Long enough for ten of what may be done once in 100 ms.
    for (; performance.now() - start < 1000; rounds++) {
      lie(name, BigInt(rounds % 2 === 0 ? 0x1234 : rounds + 0x10_0000))
      producer.tryPush('x')
      consumer.tryPop()
    }
    t.true(rounds > 1000, `${String(rounds)} messages in a second`)
    // It looks every two seconds by itself, and its runtime has timers of its own.
    const woken = sleepsOf(pid) - slept
    t.true(woken <= 5, `the innocent was woken ${String(woken)} times`)
    t.is(statSync(ours).ino, ino, 'our doorbell was made anew')

    other.tryPush('it can be woken all the same')
    const heard = await within(
      patience,
      innocent.do(({ own }) => own.pending),
    )
    t.is(heard, 'it can be woken all the same')
    await innocent.leave()
  },
)
