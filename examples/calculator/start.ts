// Three servers of the calculator, each a process of its own, and a client, which is this process. With `--kill` one of the servers is killed
// five times a second, and replaced. At the end the calls are compared with what was done: each had one outcome, and it was true.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'millrace/rpc'
import { Counter } from 'millrace/sync'
import { calculator } from './calculator.ts'

const program = (name: string) => new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const serving = new Set<ChildProcess>()
const children = new Set<ChildProcess>()
let ending = false

async function startServer(): Promise<void> {
  const server = fork(program('server'))
  children.add(server)
  server.once('exit', (code) => {
    serving.delete(server)
    children.delete(server)
    if (code !== null && code !== 0) giveUp() // it has said why
    if (!ending) void startServer()
  })
  await once(server, 'message')
  serving.add(server)
}

function giveUp(): void {
  for (const child of children) child.kill('SIGKILL')
  process.exit(1)
}

const tickets = Counter.open('calculator.tickets') // it stays, whoever is killed
const client = await connect('calculator', calculator)
await Promise.all([startServer(), startServer(), startServer()])

let killed = 0
const killing = setInterval(() => {
  const [oldest] = serving
  // Whoever is left goes on until there are others.
  if (process.argv.includes('--kill') && serving.size > 1 && oldest!.kill('SIGKILL')) {
    serving.delete(oldest!)
    killed++
  }
}, 200)

const end = performance.now() + 2000
const goesOn = () => performance.now() < end

let divided = 0
async function divide(): Promise<void> {
  while (goesOn()) {
    const [a, b]: [number, number] = [Math.random(), 1 + Math.random()]
    if ((await client.divide([a, b])) !== a / b) throw new Error(`${a} / ${b} was answered wrongly`)
    divided++
  }
}

const outcomes = { answered: 0, unknown: 0, no: 0 }
const numbers = new Set<number>()
async function takeTickets(): Promise<void> {
  while (goesOn()) {
    try {
      numbers.add(await client.ticket())
      outcomes.answered++
    } catch (error) {
      const { code, executed } = error as { code?: string; executed?: 'no' | 'unknown' }
      if (code !== 'ERR_MILLRACE_PEER_GONE' || executed === undefined) throw error
      outcomes[executed]++
    }
  }
}

/** No other server goes on with a stream: whoever reads it begins again, if it likes. */
async function again<T>(read: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_MILLRACE_PEER_GONE') throw error
      await sleep(10)
    }
  }
}

async function countPrimes(): Promise<number> {
  let count = 0
  for await (const prime of client.primes({ above: 0, below: 10_000 })) if (prime > 0) count++
  return count
}

async function firstPrime(above: number): Promise<number | undefined> {
  for await (const prime of client.primes({ above })) return prime // its server stops
  return undefined
}

const upTo1000 = Array.from({ length: 1000 }, (_, i) => i + 1)
const [primes, first, sum] = await Promise.all([
  again(countPrimes),
  again(() => firstPrime(1000)),
  again(() => client.sum(upTo1000)),
  ...Array.from({ length: 4 }, divide),
  ...Array.from({ length: 4 }, takeTickets),
])
const refused = (await client.divide([1, 0]).catch((error: unknown) => error)) as Error

clearInterval(killing)
ending = true
const ends = [...children].map((child) => once(child, 'exit'))
for (const child of children) child.kill('SIGTERM')
await Promise.all(ends)
client.close()

const { answered, unknown, no } = outcomes
const given = Number(tickets.get())
tickets.close()
const right =
  numbers.size === answered && // nobody got another one's
  given >= answered &&
  given <= answered + unknown
console.log(`divided: ${divided}, every one answered`)
console.log(
  `tickets: ${answered} answered, ${unknown} perhaps taken, ${no} not; ${given} were given out`,
)
console.log(`primes below 10,000: ${primes}; the first above 1000: ${first}`)
console.log(`1 + 2 + … + 1000 = ${sum}; 1 / 0: ${String(refused)}`)
console.log(`servers killed: ${killed}`)
console.log(right ? 'every call had one outcome' : 'NOT every call had one outcome')
process.exitCode = right ? 0 : 1
