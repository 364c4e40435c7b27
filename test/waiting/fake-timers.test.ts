// Programs whose tests put other clocks and timers in the place of the real ones. Who waits for another process
// waits in real time all the same.

import test from 'ava'
import { SpscQueue } from 'millrace'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { within } from '../support/until.js'

const patience = 30_000

const mocks: [how: string, when: ('before' | 'after')[]][] = [
  ['Sinon, all it can', ['before', 'after']],
  ['node:test', ['before', 'after']],
  ['a clock that stands', ['before', 'after']],
  ['a clock that jumps', ['before', 'after']],
  ['no immediates', ['before', 'after']],
  ['no microtasks of its own', ['before', 'after']],
]

for (const [how, times] of mocks) {
  for (const when of times) {
    test(`waits end in real time, with ${how}, put there ${when} the library was loaded`, async (t) => {
      const name = uniqueName(t)
      using producer = SpscQueue.producer(name)
      using answers = SpscQueue.consumer(`${name}.answers`)
      const mocked = run(t, new URL('./fixtures/mocked.js', import.meta.url), [how, when, name])
      const answer = async () => (await within(patience, answers.pop()))?.toString()
      for (let i = 0; i < 2; i++) {
        t.is(await answer(), 'ready')
        await new Promise((resolve) => setTimeout(resolve, 100)) // it goes to sleep meanwhile
        producer.tryPush(`message ${String(i)}`)
      }
      t.is(await answer(), 'done')
      t.is((await mocked.ended()).code, 0, mocked.stderr)
    })
  }
}
