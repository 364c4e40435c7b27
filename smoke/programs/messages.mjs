// Topics, calls and streams between processes: `messages.mjs ROLE NAME`. One subscribes and serves (`keeps`), one subscribes, serves
// and is killed in the middle of a call (`dies`), and one publishes and calls (`works`). The last line of each is its account as
// JSON; what it has to be stands in smoke/messages.mjs.

import { call, connect, contract, duplex, serve, stream, upload } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

const [role, name] = process.argv.slice(2)
const patience = { timeout: 60_000 }
const soon = { waitForServer: 60_000 }
const options = { messages: 32 }
const messages = 200
const jobs = 30
const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
const payload = (i) => `${i} ${'x'.repeat((i * 37) % 1500)}`

const doomed = contract('doomed', { hang: call() })
const lab = contract('lab', {
  add: call({ idempotent: true }),
  fail: call(),
  ticks: stream(),
  sum: upload(),
  chat: duplex(),
  end: call(),
})

const roles = {
  async keeps() {
    const bus = Topics.open(name, options)
    const data = await bus.subscribe('*.data')
    const all = await bus.subscribe('>', { policy: 'overwrite-oldest' })
    const half = await bus.subscribe('jobs.*', { queue: 'half' })
    await bus.publish('status', 'up')
    const lost = await connect(`${name}.doomed`, doomed, soon)
    const gone = await lost.hang('on', patience).catch((error) => error)
    lost.close()

    let ended
    const over = new Promise((resolve) => {
      ended = resolve
    })
    let done = 0
    const working = work(half, () => done++)
    const server = await serve(name, lab, {
      add: ([a, b]) => a + b,
      fail: (text) => {
        throw new RangeError(text)
      },
      async *ticks(n) {
        for (let i = 0; i < n; i++) yield { at: i }
      },
      async sum(items) {
        let sum = 0
        for await (const item of items) sum += item
        return sum
      },
      async *chat(items) {
        for await (const item of items) yield item.toUpperCase()
      },
      end: (theirs) => {
        ended(theirs)
        return done
      },
    })
    let whole = true
    for (let i = 0; i < messages; i++) {
      const message = await data.receive(patience)
      whole &&= message.subject === `line${i % 5}.data` && message.text() === payload(i)
      whole &&= message.headers.number === String(i) && message.missed === 0
      message.release()
    }
    const theirs = await over
    let seen = 0
    for (let one = all.tryReceive(); one !== undefined; one = all.tryReceive()) {
      seen++
      one.release()
    }
    const account = {
      whole,
      counted: seen + all.missed - bus.stats().published,
      missed: all.missed > 0,
      jobs: done + theirs,
      gone: `${gone.code} ${gone.executed}`,
      deaths: bus.stats().deaths,
    }
    await server[Symbol.asyncDispose]()
    half.close()
    await working
    bus.close()
    // It would stay for a while, for members that come again.
    WorkQueue.unlink(`${name}.half`)
    return account
  },
  async dies() {
    // Reads nothing, so publishers wait for it until they find that it is dead.
    const bus = Topics.open(name, options)
    await bus.subscribe('>')
    await serve(`${name}.doomed`, doomed, {
      hang(text) {
        console.log(JSON.stringify({ hangs: text }))
        process.kill(process.pid, 'SIGKILL')
        return new Promise(() => undefined)
      },
    })
    await new Promise((resolve) => setTimeout(resolve, 120_000))
  },
  async works() {
    const client = await connect(name, lab, soon)
    const bus = Topics.open(name, options)
    const late = await bus.subscribe('status', { replay: 'last' })
    const status = (await late.receive(patience)).text()
    const half = await bus.subscribe('jobs.*', { queue: 'half' })
    let done = 0
    const working = work(half, () => done++)
    for (let i = 0; i < messages; i++) {
      const what = { headers: { number: String(i) }, ...patience }
      await bus.publish(`line${i % 5}.data`, payload(i), what)
    }
    const added = await Promise.all(Array.from({ length: 50 }, (_, i) => client.add([i, 1])))
    const failed = await client.fail('no').catch((error) => error)
    const ticks = []
    for await (const { at } of client.ticks(1000)) if (ticks.push(at) === 100) break
    const sum = await client.sum([1, 2, 3])
    const chat = []
    for await (const item of client.chat(['a', 'b'])) chat.push(item)
    for (let i = 0; i < jobs; i++) await bus.publish(`jobs.${i % 3}`, String(i), patience)
    while (half.queue.stats().ready + half.queue.stats().leased > 0 || !allMoved(half)) await turn()
    half.close()
    await working
    const theirs = await client.end(done)
    client.close()
    bus.close()
    return {
      status,
      added: added.every((sum, i) => sum === i + 1),
      failed: `${failed.name}: ${failed.message}`,
      ticks: ticks.length,
      sum,
      chat: chat.join(),
      jobs: theirs + done,
    }
  },
}

/** Are all jobs in the queue of the group, or done? */
const allMoved = (half) => half.queue.stats().completed === jobs

async function work(group, told) {
  for await (const job of group) {
    job.complete()
    told()
  }
}

console.log(JSON.stringify(await roles[role]()))
