// A feed and three strategies, each a process of its own. One strategy is killed while prices come in, and started again. At the end
// the ledger of each must account for every price that was published: seen, missed, or published while it was not there.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Ledger } from './ledger.ts'
import { openMarket } from './market.ts'

const program = (name: string) => new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const children = new Set<ChildProcess>()

function start(name: string, ...args: string[]): ChildProcess {
  const child = fork(program(name), args)
  children.add(child)
  child.once('exit', (code) => {
    children.delete(child)
    if (code !== null && code !== 0) giveUp() // it has said why
  })
  return child
}

function giveUp(): void {
  for (const child of children) child.kill('SIGKILL')
  process.exit(1)
}

async function subscribed(...args: string[]): Promise<ChildProcess> {
  const strategy = start('strategy', ...args)
  await once(strategy, 'message')
  return strategy
}

// Held open here, so that bus and ledgers stay whoever is killed.
const market = openMarket()
const strategies = [
  ['trend', 'currencies'],
  ['hedge', 'metals'],
  ['report', 'currencies', '--slow'],
] as const
const ledgers = strategies.map(([name]) => new Ledger(name))
const running = await Promise.all(strategies.map((args) => subscribed(...args)))

const feed = start('feed')
await sleep(500)
const killed = once(running[0]!, 'exit')
running[0]!.kill('SIGKILL')
await killed
await sleep(200)
running[0] = await subscribed(...strategies[0])
await sleep(500)

const ends = [...children].map((child) => once(child, 'exit'))
const close = await market.subscribe('close')
feed.send('close')
const { value: published } = await close.receive()
await Promise.all(ends)
close.close()
market.bus.close()

let right = true
console.log(published)
for (const [i, [name, kind]] of strategies.entries()) {
  const { seen, missed, down, known } = ledgers[i]!
  console.log(
    `${name}: seen ${seen.get()}, missed ${missed.get()}, while it was down ${down.get()}`,
  )
  right &&= known === published[kind]
}
console.log(right ? 'every price is accounted for' : 'NOT every price is accounted for')
process.exitCode = right ? 0 : 1
