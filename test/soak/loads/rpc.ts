// Calls of one client that stays and of others that come and go; some are aborted, some fail.

import { call, connect, contract, serve } from 'millrace/rpc'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

const adding = contract('soak', {
  add: call<[number, number], number>({ idempotent: true }),
  fail: call<string, string>(),
  sleep: call<number, string>(),
  bye: call<undefined, string>(),
})

export const rpc: Load = {
  parts: { left: stay, right: answer, visitors: visit },
  judge: ({ left, right, visitors }) => {
    const sum = (what: string) => (left?.[what] ?? NaN) + (visitors?.[what] ?? NaN)
    return [
      ...some('calls', left?.['added']),
      ...same('calls made and answered', sum('added'), right?.['added']),
      ...none('wrong answers', sum('wrong')),
      ...same('aborted calls that began, and were told', right?.['slept'], right?.['aborted']),
    ]
  },
}

const memory = { calls: 64, bytes: 2 ** 17, seats: 8 }
// Whoever comes first makes the memory.
const waiting = { ...memory, waitForServer: patience.timeout }

/** Until both kinds of clients have left. */
async function answer({ name }: Shift): Promise<Counts> {
  const counts = { added: 0, slept: 0, aborted: 0 }
  let byes = 0
  using server = await serve(
    name('r'),
    adding,
    {
      add([a, b]) {
        counts.added++
        return a + b
      },
      fail(text) {
        throw Object.assign(new RangeError(text), { code: 'SOAK' })
      },
      async sleep(_milliseconds, { signal }) {
        counts.slept++
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve, { once: true })
        })
        counts.aborted++
        return 'nobody hears this'
      },
      bye() {
        byes++
        return 'bye'
      },
    },
    memory,
  )
  while (byes < 2) await pause(20)
  await pause(20) // the last answer is on its way
  server.close()
  return counts
}

async function stay({ name, over }: Shift): Promise<Counts> {
  using client = await connect(name('r'), adding, waiting)
  const counts = { added: 0, wrong: 0 }
  for (let i = 0; !over(); i++) {
    const answers = await Promise.all([0, 1, 2].map((j) => client.add([i, j], patience)))
    counts.added += answers.length
    counts.wrong += answers.filter((sum, j) => sum !== i + j).length
    if (i % 20 === 0) {
      const error = await client.fail('x'.repeat(i % 500)).catch((reason: unknown) => reason)
      if ((error as { code?: string }).code !== 'SOAK') counts.wrong++
      const signal = AbortSignal.timeout(2)
      await client.sleep(1000, { signal }).catch(() => undefined)
      await pause(1)
    }
  }
  await client.bye(undefined, patience)
  return counts
}

async function visit({ name, over }: Shift): Promise<Counts> {
  const counts = { visits: 0, added: 0, wrong: 0 }
  for (; !over(); counts.visits++) {
    using client = await connect(name('r'), adding, waiting)
    for (let i = 0; i < 20; i++) {
      if ((await client.add([i, 1], patience)) !== i + 1) counts.wrong++
      counts.added++
    }
    await pause(5)
  }
  using client = await connect(name('r'), adding, waiting)
  await client.bye(undefined, patience)
  return counts
}
