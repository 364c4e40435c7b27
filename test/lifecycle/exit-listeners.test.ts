// Listeners for 'exit' that throw, beside the library's own, which is there from its import on (docs/queue.md has the rule).

import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { SpscQueue } from 'millrace'

import { objectsOf, uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const fixture = fileURLToPath(new URL('./fixtures/exit-listener.js', import.meta.url))

interface Rule {
  readonly when: 'before' | 'after'
  readonly handling: 'unhandled' | 'handled'
  /** What the program finds. */
  readonly told: readonly RegExp[]
  /** How the consumer's loop ends: well, or with this. */
  readonly end: 'well' | 'ERR_MILLRACE_PEER_GONE'
}

const rules: readonly Rule[] = [
  // The exception keeps Node from calling the library's: nothing is left in good order, as in a crash.
  {
    when: 'before',
    handling: 'unhandled',
    told: [/^listener: open$/],
    end: 'ERR_MILLRACE_PEER_GONE',
  },
  // The library has left before the exception comes.
  { when: 'after', handling: 'unhandled', told: [/^listener: closed$/], end: 'well' },
  // Nothing has been left: it works on as before, until it ends in truth.
  {
    when: 'before',
    handling: 'handled',
    told: [/^listener: open$/, /^goes on: open, anew: opens$/],
    end: 'well',
  },
  // What has been left stays so, and nothing can be opened any more.
  {
    when: 'after',
    handling: 'handled',
    told: [/^listener: closed$/, /^goes on: closed, anew: ERR_MILLRACE_CLOSED$/],
    end: 'well',
  },
]

for (const { when, handling, told, end } of rules) {
  for (const how of ['exit', 'dry']) {
    test(`a listener that throws, ${when} the library's, ${handling} (${how})`, async (t) => {
      const name = uniqueName(t)
      const consumer = SpscQueue.consumer(name)
      const child = spawn(process.execPath, [fixture, name, when, how, handling], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      t.teardown(() => child.kill('SIGKILL'))
      let text = ''
      child.stderr.on('data', (part: Buffer) => (text += part.toString()))
      const ended = once(child, 'close')
      const received: string[] = []
      let ending = 'well'
      const reading = (async () => {
        for await (const message of consumer) received.push(message.toString())
      })().catch((error: unknown) => {
        ending = (error as { code: string }).code
      })
      await within(20_000, reading)
      const [, signal] = (await within(20_000, ended)) as [number, NodeJS.Signals | null]
      t.is(signal, null)
      t.deepEqual(received, ['sent'])
      t.is(ending, end, text)
      const lines = text.split('\n').filter((line) => /^(listener|goes on):/.test(line))
      for (const [i, line] of told.entries()) t.regex(lines[i] ?? '', line, text)
      // Whatever it was, the next one takes over at once, and the last one leaves nothing.
      using next = SpscQueue.producer(name)
      t.true(next.tryPush('again'))
      t.is(consumer.tryPop()?.toString(), 'again')
      next.close()
      consumer.close()
      t.deepEqual(objectsOf(name), [])
    })
  }
}
