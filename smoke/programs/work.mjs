// Jobs between processes: `work.mjs ROLE NAME`. One pushes them and collects what became of them (`keeps`), one takes a job and
// is killed with it in hand (`dies`), and one works (`works`): completes, fails, gives up, hands on to the next queue, closes
// the queue from within a handler. The last line of each is its account as JSON; what it has to be stands in smoke/work.mjs.

import { WorkQueue } from 'millrace/work'
import { TextDecoder } from 'node:util'

const [role, name] = process.argv.slice(2)
const patience = { timeout: 60_000 }
const options = { jobs: 64, maxAttempts: 2, dedupWindow: 600_000 }
const jobs = 200
const text = (bytes) => new TextDecoder().decode(bytes)
const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
const payload = (i) => `${i} ${'x'.repeat((i * 37) % 1500)}`

/** What its handler does with that job. */
const fate = (i) => ({ 7: 'fails', 9: 'rejects', 11: 'fails once' })[i % 50] ?? 'completes'
const isDone = (i) => !['fails', 'rejects'].includes(fate(i))

const roles = {
  async keeps() {
    const queue = WorkQueue.open(name, options)
    const done = WorkQueue.open(`${name}.done`)
    await queue.push('first', { priority: 9, id: 'first' })
    // There is less room than that: it waits for the worker.
    const pushing = (async () => {
      for (let i = 0; i < jobs; i++) {
        const what = { id: String(i), ...(i % 2 === 0 ? { group: 'even' } : {}), ...patience }
        await queue.push(payload(i), what)
      }
      return (await queue.push('once more', { id: '0' })).duplicate
    })()
    const expected = Array.from({ length: jobs }, (_, i) => i).filter(isDone)
    const results = new Map()
    while (results.size < expected.length + 1) {
      using(await done.takeOne(patience), (job) => {
        const [id, attempt, length] = text(job.bytes).split(' ')
        if (results.has(id)) throw new Error(`${id} came twice`)
        results.set(id, { attempt, length })
        job.complete()
      })
    }
    const duplicate = await pushing
    const evens = [...results.keys()].filter((id) => id !== 'first' && Number(id) % 2 === 0)
    const allDead = async () => {
      while (queue.dead.length < jobs - expected.length) await turn()
    }
    await allDead()
    const dead = {}
    for (const { reason, error } of queue.dead.peek()) {
      dead[`${reason}: ${error}`] = (dead[`${reason}: ${error}`] ?? 0) + 1
    }
    const redriven = queue.dead.redrive({ filter: ({ reason }) => reason === 'rejected' })
    await allDead()
    const purged = queue.dead.purge()
    await queue.push('end')
    while (queue.stats().handles > 1) await turn()
    const { ready, leased } = queue.stats()
    queue.close()
    done.close()
    // Ids are remembered, so the queue stays.
    const unlinked = WorkQueue.unlink(name)
    return {
      results: results.size,
      whole: expected.every((i) => results.get(String(i))?.length === String(payload(i).length)),
      inOrder: evens.every((id, i) => i === 0 || Number(evens[i - 1]) < Number(id)),
      first: results.get('first').attempt,
      second: results.get('11').attempt,
      duplicate,
      dead,
      redriven,
      purged,
      left: ready + leased,
      unlinked,
    }
  },
  async dies() {
    const job = await WorkQueue.open(name, options).takeOne(patience)
    console.log(JSON.stringify({ taken: text(job.bytes) }))
    process.kill(process.pid, 'SIGKILL')
  },
  async works() {
    const queue = WorkQueue.open(name, options)
    const done = WorkQueue.open(`${name}.done`)
    const attempts = { completes: 0, fails: 0, rejects: 0, 'fails once': 0 }
    const handler = async (job) => {
      const [id, rest] = text(job.bytes).split(' ')
      if (id === 'end') {
        await queue[Symbol.asyncDispose]()
        return
      }
      if (rest !== undefined && !/^x*$/.test(rest)) throw new Error(`${id} is not whole`)
      const what = fate(Number(id))
      attempts[what]++
      if (what === 'fails' || (what === 'fails once' && job.attempt === 1)) {
        throw new Error('it cannot be done')
      }
      if (what === 'rejects') job.reject('never')
      else await job.complete({ to: done, bytes: `${id} ${job.attempt} ${job.length}` })
    }
    await queue.work(handler, { concurrency: 2, drainOnClose: Infinity })
    const closed = queue.closed
    done.close()
    return { attempts, closed }
  },
}

/** The syntax of that name is not known everywhere. */
function using(job, action) {
  try {
    return action(job)
  } finally {
    job[Symbol.dispose]()
  }
}

console.log(JSON.stringify(await roles[role]()))
