// Follows the prices of a kind, until the market closes: strategy.ts NAME KIND [--slow]. It may be killed at any time and started
// again, and then knows what it did not get: the bus tells what it was too slow for, and the numbers of the prices tell what was
// published while it was not there. It stops where something is missing that neither explains.
import { setTimeout as sleep } from 'node:timers/promises'
import { Ledger } from './ledger.ts'
import { kinds, openMarket, type Kind } from './market.ts'

const [name, kind, how] = process.argv.slice(2) as [string, Kind, string?]
const slow = how === '--slow'

const ledger = new Ledger(name)
const market = openMarket()
const subscription = await market.subscribe(['close', `price.${kind}.*`], {
  policy: slow ? 'overwrite-oldest' : 'wait', // who is slow must not hold up the others
  replay: 'last', // there is a price of everything at once
})
process.send?.('subscribed')

const newest = new Map<string, number>()

/** Price number `number` is here, and so many before it were missed. */
function account(number: number, missed: number): void {
  const gap = number - 1 - ledger.known
  if (gap < 0) return // it was dealt with before the kill
  // Until there is a price of everything, older ones may be of before it came.
  const whole = newest.size === kinds[kind].length
  if (whole && gap !== missed) {
    throw new Error(
      `${name}: ${gap} prices before number ${number} are not here, ${missed} were missed`,
    )
  }
  ledger.missed.add(missed)
  ledger.down.add(gap - missed)
}

for await (const { subject, value, missed } of subscription) {
  if ('number' in value) {
    account(value.number, missed)
    newest.set(subject, value.value)
    if (slow) await sleep(1) // thinks about it
    if (value.number > ledger.known) ledger.seen.add(1)
  } else {
    account(value[kind] + 1, missed)
    break
  }
}
subscription.close()
market.bus.close()
process.disconnect()
