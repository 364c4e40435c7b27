// The strategy: trades when a price leaves the mean of what it was lately, and passes on the ticks that it traded on, as they came.
import { RecordQueue } from 'millrace'
import { Tick } from './tick.ts'

using ticks = RecordQueue.consumer('feed-ticks', { record: Tick, capacity: 1 << 20 })
using trades = RecordQueue.producer('feed-trades', { record: Tick })
const means = new Float64Array(4)
let seen = 0
let traded = 0
let turnover = 0
/** Those of a message that were traded on, to be sent when there is room. */
let chosen: { time: bigint; price: number; size: number; symbol: number }[] = []
while (await ticks.readable()) {
  ticks.drain((records) => {
    for (let i = 0; i < records.length; i++) {
      const tick = records.at(i) // where C++ wrote it
      const { price, symbol } = tick
      const mean = means[symbol]!
      means[symbol] = seen < 100 ? price : mean + (price - mean) / 64
      if (seen++ < 100 || Math.abs(price - mean) < 2) continue
      traded++
      turnover += price * tick.size
      chosen.push({ time: tick.time, price, size: tick.size, symbol })
    }
  }, 16)
  for (let from = 0; from < chosen.length; from += 64) {
    await trades.push(chosen.slice(from, from + 64))
  }
  chosen = []
}
await trades.end()
console.log(`strategy: traded on ${traded} of ${seen} ticks, turnover ${turnover.toFixed(2)}`)
