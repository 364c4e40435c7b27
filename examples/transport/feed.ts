// A thermometer: publishes what it reads, and obeys commands of whoever publishes them.
import { setTimeout as pause } from 'node:timers/promises'
import { Topics } from 'millrace/topics'

const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
const { signal } = stopping

using bus = Topics.open('thermometer')
let every = 200

async function obey(): Promise<void> {
  for await (using command of await bus.subscribe('command', { signal })) {
    if (command.text() === 'faster') every = Math.max(every / 2, 25)
    if (command.text() === 'slower') every = Math.min(every * 2, 1600)
  }
}

async function read(): Promise<void> {
  for (let number = 1; !signal.aborted; number++) {
    const degrees = 20 + 5 * Math.sin(number / 10)
    await bus.publish('reading', JSON.stringify({ number, degrees, every }))
    await pause(every, undefined, { signal })
  }
}

try {
  await Promise.all([obey(), read()])
} catch (error) {
  if (!signal.aborted) throw error
}
