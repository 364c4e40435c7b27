// Publishes prices, as fast as those subscribers follow that must not miss any, until it is told to close the market.
import { setImmediate as turn } from 'node:timers/promises'
import { kinds, openMarket, type Kind } from './market.ts'

const market = openMarket()
const published = { currencies: 0, metals: 0 }
const values = new Map<string, number>()
const closing = new AbortController()
process.once('message', () => {
  closing.abort()
})

async function publish(kind: Kind): Promise<void> {
  const names = kinds[kind]
  const name = names[published[kind] % names.length]!
  const value = (values.get(name) ?? 100) * (1 + (Math.random() - 0.5) / 1000)
  values.set(name, value)
  await market.publish(`price.${kind}.${name}`, { value, number: ++published[kind] })
}

while (!closing.signal.aborted) {
  for (let i = 0; i < 32; i++) await publish(i % 4 === 0 ? 'metals' : 'currencies')
  await turn() // so that it hears the message
}
await market.publish('close', published)
market.bus.close()
process.disconnect()
