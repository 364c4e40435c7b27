// Round trips over two SpscQueues.

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { Stopwatch, type Measured, type Parameters } from '../measured.js'

const perSample = 100

function connect({ name, poll }: Parameters, first: boolean): [QueueProducer, QueueConsumer] {
  const tuning = poll === undefined ? {} : { poll }
  return [
    SpscQueue.producer(`${name}.${first ? 'there' : 'back'}`, tuning),
    SpscQueue.consumer(`${name}.${first ? 'back' : 'there'}`, tuning),
  ]
}

function warmUp(count: number): number {
  return Math.ceil(count / 10)
}

export async function lead(parameters: Parameters): Promise<Measured> {
  const { bytes, count, wait } = parameters
  const [out, back] = connect(parameters, true)
  const message = Buffer.alloc(bytes, 1)
  const target = Buffer.alloc(bytes)
  await out.waitForPeer()
  const spin = wait === 'spin'
  const stopwatch = new Stopwatch(spin ? perSample : 1)
  const samples = spin ? Math.ceil(count / perSample) : count
  for (let sample = -warmUp(samples); sample < samples; sample++) {
    stopwatch.start()
    if (spin) {
      for (let i = 0; i < perSample; i++) {
        while (!out.tryPush(message));
        while (back.tryPopInto(target) < 0);
      }
    } else {
      await out.push(message)
      await back.pop()
    }
    if (sample >= 0) stopwatch.stop()
  }
  await out.end()
  back.close()
  return stopwatch.result()
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, count, wait } = parameters
  const [back, there] = connect(parameters, false)
  if (wait === 'spin') {
    const target = Buffer.alloc(bytes)
    const samples = Math.ceil(count / perSample)
    const total = (samples + warmUp(samples)) * perSample
    for (let i = 0; i < total; i++) {
      while (there.tryPopInto(target) < 0);
      while (!back.tryPush(target));
    }
  }
  for await (const message of there) await back.push(message)
  back.close()
  there.close()
}
