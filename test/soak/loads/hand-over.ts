// Nameless segments handed over a socket, one after the other.

import { NamelessSegment, offerSegments, receiveSegments, SpscQueue } from 'millrace'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const handOver: Load = {
  parts: { left: offer, right: receive },
  judge: ({ left, right }) => [
    ...some('segments handed over', left?.['handedOver']),
    ...same('segments handed over and received', left?.['handedOver'], right?.['received']),
  ],
}

const socketPath = (name: Shift['name']) => join(tmpdir(), `millrace-${name('socket')}`)

/** Each is named by its number; the last one is called so. */
async function offer({ name, over }: Shift): Promise<Counts> {
  let handedOver = 0
  for (let last = false; !last;) {
    last = over()
    using segment = NamelessSegment.create()
    using consumer = SpscQueue.consumer(segment)
    using _ = await offerSegments(socketPath(name), { [last ? 'last' : handedOver]: segment })
    const message = await consumer.pop(patience)
    if (message?.toString() !== 'here') throw new Error('another message than was sent')
    handedOver++
    await pause(10)
  }
  return { handedOver }
}

async function receive({ name }: Shift): Promise<Counts> {
  let received = 0
  for (;;) {
    const [[number, offered]] = Object.entries(
      await receiveSegments(socketPath(name), patience),
    ) as [[string, NamelessSegment]]
    using segment = offered
    if (number !== 'last' && Number(number) < received) {
      await pause(1) // the same once more: the offer has not been closed yet
      continue
    }
    using producer = SpscQueue.producer(segment)
    await producer.push('here', patience)
    await producer.end(patience)
    received++
    if (number === 'last') return { received }
  }
}
