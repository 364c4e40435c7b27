// One process sends; `consumer.ts` in another receives. Either may start first.
import { SpscQueue } from 'millrace'

const producer = SpscQueue.producer('ticks')
for (let tick = 1; tick <= 5; tick++) {
  await producer.push(`tick ${tick}`) // waits while the queue is full
}
await producer.end() // resolves when all are read
