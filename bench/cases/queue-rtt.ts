// Round trips over two SpscQueues: spinning, or waiting in the event loops.

import type { ChildProcess } from 'node:child_process'

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { spinningTrips, trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

function connect({ name, poll }: Parameters, first: boolean): [QueueProducer, QueueConsumer] {
  const tuning = poll === undefined ? {} : { poll }
  return [
    SpscQueue.producer(`${name}.${first ? 'there' : 'back'}`, tuning),
    SpscQueue.consumer(`${name}.${first ? 'back' : 'there'}`, tuning),
  ]
}

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const [out, back] = connect(parameters, true)
  const content = new Content(parameters)
  // Timed, the message is the same each time, as that of the C++ core is.
  const { check } = parameters
  const message = payload(parameters.bytes)
  const answer = payload(parameters.bytes)
  await out.waitForPeer()
  const measured =
    parameters.wait === 'spin'
      ? spinningTrips(parameters, pid!, (from, to) => {
          for (let i = from; i < to; i++) {
            if (check) content.write(message, i)
            while (!out.tryPush(message));
            while (back.tryPopInto(answer) < 0);
            if (check) content.read(answer, i)
          }
        })
      : await trips(parameters, pid!, async (i) => {
          content.write(message, i)
          await out.push(message)
          content.read((await back.pop())!, i)
        })
  await out.push('end')
  await out.end()
  back.close()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const [back, there] = connect(parameters, false)
  const { bytes, wait } = parameters
  if (wait === 'spin') {
    answerSpinning(there, back, bytes)
  } else {
    for await (const message of there) {
      if (message.length !== bytes) break
      await back.push(message)
    }
  }
  there.close()
  back.close()
}

/** Not in an async function: V8 does not replace the code of a loop in one while it runs. */
function answerSpinning(there: QueueConsumer, back: QueueProducer, bytes: number): void {
  const message = payload(bytes)
  for (;;) {
    let length: number
    while ((length = there.tryPopInto(message)) < 0);
    if (length !== bytes) return
    while (!back.tryPush(message));
  }
}
