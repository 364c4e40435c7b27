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
/** For that alone. */
const waiting = (what: string): RegExp => new RegExp(`^still waiting after \\d+ ms, for ${what}$`)
const closed = /the connection was closed by the other side/

const broken: readonly Found[] = [
  found(settled, 'lost', 'two', waiting('pushBatch\\(\\)')),
  found(settled, 'twice', 'two', closed),
  found(settled, 'late', 'one', waiting('push\\(\\)')),
  found(settled, 'lost', 'not yet', waiting('job\\.retry\\(\\)')),
  found(published, 'lost', 'both', waiting('publish\\(\\)')),
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
  found(
    'calls: an error keeps its class, message, code and data',
    'lost',
    'E_TEST',
    waiting('fail\\(\\)'),
  ),
  found('calls: each call has its own answer', 'lost', 'xxx', waiting('echo\\(\\)')),
  found('calls: streams go either way, in order, and end', 'lost', '77', /strictly deep-equal/),
  found(
    'calls: who reads slowly holds its stream up',
    'lost',
    '100000',
    waiting('ticks\\(\\)\\.next\\(\\)'),
  ),
]

for (const [which, { behaviour, fault, within, says }] of broken.entries()) {
  test(`${behaviour}: a message with ${JSON.stringify(within)} that is ${fault} is found`, async (t) => {
    const scheme = `broken${String(which)}`
    registerMessages(scheme, {
      halfCloses: true,
      fault: (message) => (message.includes(within) ? fault : undefined),
    })
    const address = `${scheme}://test-${String(process.pid)}`
    const { cases } = patternConformance(address, {
      patience: says.source.startsWith('^still waiting') ? 2000 : 15_000,
    })
    const asked = cases.find(({ name }) => name === behaviour)!
    const error = await t.throwsAsync(async () => {
      await asked.run()
    })
    t.regex(error.message, says)
  })
}
