// The suite for the patterns finds what is broken: each behaviour here fails over a transport that is sound but for one fault, and says so.

import test from 'ava'
import { patternConformance } from 'millrace/net/conformance'

import { registerMessages, type Fault } from './support/message-transport.js'

interface Found {
  readonly behaviour: string
  readonly fault: Fault
  /** Of which messages: of those that have this within. */
  readonly within: string
  readonly says: RegExp
}

const found = (behaviour: string, fault: Fault, within: string, says: RegExp): Found => ({
  behaviour,
  fault,
  within,
  says,
})
const settled = 'work: pushed, taken and settled as where the queue is'
const published = 'topics: published and received as where the bus is'
const order = 'topics: all subscriptions see one order'
const waiting = /^still waiting after/
const closed = /the connection was closed by the other side/

const broken: readonly Found[] = [
  found(settled, 'lost', 'two', waiting),
  found(settled, 'twice', 'two', closed),
  found(settled, 'late', 'one', waiting),
  found(published, 'lost', 'both', waiting),
  found(order, 'late', '0.3', /strictly deep-equal/),
  found(
    'topics: who comes late is given the last of each subject, or so many',
    'changed',
    'a2',
    /strictly deep-equal|is not what millrace sends/,
  ),
  found(
    'calls: an error keeps its class, message, code and data',
    'changed',
    'E_TEST',
    /instanceof RangeError/,
  ),
]

for (const [which, { behaviour, fault, within, says }] of broken.entries()) {
  test(`${behaviour}: a message that is ${fault} is found`, async (t) => {
    const scheme = `broken${String(which)}`
    registerMessages(scheme, {
      halfCloses: true,
      fault: (message) => (message.includes(within) ? fault : undefined),
    })
    const address = `${scheme}://test-${String(process.pid)}`
    const { cases } = patternConformance(address, {
      patience: says === waiting ? 2000 : 15_000,
    })
    const asked = cases.find(({ name }) => name === behaviour)!
    const error = await t.throwsAsync(async () => {
      await asked.run()
    })
    t.regex(error.message, says)
  })
}
