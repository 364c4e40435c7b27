// Serves the calculator, until it is ended. Any number of these may run, whoever is idle takes, and any may be killed at any time.
import { setTimeout as sleep } from 'node:timers/promises'
import { serve } from 'millrace/rpc'
import { Counter } from 'millrace/sync'
import { calculator } from './calculator.ts'

const tickets = Counter.open('calculator.tickets')

const server = await serve('calculator', calculator, {
  async divide([a, b]) {
    if (b === 0) throw Object.assign(new RangeError(`${a} / 0`), { code: 'DIVISION_BY_ZERO' })
    await sleep(1) // it is not easy
    return a / b
  },

  async ticket() {
    const number = Number(tickets.add())
    await sleep(1)
    return number
  },

  *primes({ above, below = Infinity }) {
    for (let n = above + 1; n < below; n++) if (isPrime(n)) yield n
  },

  async sum(numbers) {
    let sum = 0
    for await (const number of numbers) sum += number
    return sum
  },
})
process.once('SIGTERM', () => {
  server.close()
  tickets.close()
  process.disconnect()
})
process.send?.('serving')

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return n > 1
}
