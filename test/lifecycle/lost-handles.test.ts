// Handles that nobody has any more, and functions of theirs that somebody kept.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

type TryPush = (bytes: Uint8Array) => number

/** What the addon gives each producer for every message, of producers that are lost. */
function functionsOfLost(names: readonly string[]): TryPush[] {
  return names.map((name) => {
    const producer = SpscQueue.producer(name) as unknown as { native: { tryPush: TryPush } }
    return producer.native.tryPush
  })
}

test('a function of the addon keeps what it works on; without it, that is collected', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `${uniqueName(t)}-${String(i)}`)
  const functions = functionsOfLost(names)
  for (let i = 0; i < 5; i++) {
    collect()
    await new Promise(setImmediate)
  }
  const message = Buffer.from('kept')
  t.true(functions.every((tryPush) => tryPush(message) === 0))

  functions.length = 0
  await until(() => {
    collect()
    return names.every((name) => {
      using consumer = SpscQueue.consumer(name)
      return consumer.peer === 'closed'
    })
  })
  for (const name of names) SpscQueue.unlink(name)
})
