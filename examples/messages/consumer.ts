// Prints what `producer.ts` sends, until it ends.
import { SpscQueue } from 'millrace'

using consumer = SpscQueue.consumer('ticks')
for await (const message of consumer) {
  console.log(message.toString())
}
