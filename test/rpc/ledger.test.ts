// Servers and clients are killed at random, and a ledger that outlives them all tells what became of each call: one outcome, no
// handler twice, and an outcome that says what happened.

import test, { type ExecutionContext } from 'ava'
import { SharedMemory } from 'millrace'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { Random } from '../support/random.js'
import { connected } from './open.js'

/** Calls that a client may make; each has four numbers in the ledger. */
const callsEach = 4000
const clients = 14
const fields = 4
const bytes = clients * callsEach * fields * 4

/** What the ledger has of a call, by its place: how often a handler began, how often there was an outcome, and which. */
const Field = { begun: 0, outcomes: 1, outcome: 2, asked: 3 } as const
const Outcome = { answered: 1, no: 2, unknown: 3 } as const

async function server(t: ExecutionContext, name: string): Promise<Actor> {
  const it = actor(t)
  await it.do(
    async ({ serve, contract, call, SharedMemory, own }, name, fields) => {
      const calc = contract('calc', {
        add: call<readonly [number, number], number>(),
        echo: call<unknown, unknown>(),
        fail: call<string, never>(),
        again: call<string, unknown>({ idempotent: true }),
      })
      const ledger = SharedMemory.open(`${name}.ledger`).view(Int32Array)
      own['server'] = await serve(
        name,
        calc,
        {
          add: ([a, b]) => a + b,
          echo: async (id) => {
            Atomics.add(ledger, (id as number) * fields, 1)
            if ((id as number) % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
            return id
          },
          fail: (message) => {
            throw new Error(message)
          },
          again: (value) => value,
        },
        { concurrency: 4 },
      )
    },
    name,
    fields,
  )
  return it
}

/** Makes calls in four lines, until it is told to stop or has made all. */
async function client(t: ExecutionContext, name: string, first: number): Promise<Actor> {
  const it = actor(t)
  await it.do(
    async ({ connect, contract, call, SharedMemory, own }, name, fields, first, most) => {
      const calc = contract('calc', {
        add: call<readonly [number, number], number>(),
        echo: call<unknown, unknown>(),
        fail: call<string, never>(),
        again: call<string, unknown>({ idempotent: true }),
      })
      const ledger = SharedMemory.open(`${name}.ledger`).view(Int32Array)
      const client = await connect(name, calc, { waitForServer: 10_000 })
      let next = first
      const line = async () => {
        while (own['stop'] !== true && next < first + most) {
          const id = next++
          const at = id * fields
          Atomics.store(ledger, at + 3, 1)
          let outcome = 1
          try {
            if ((await client.echo(id)) !== id) outcome = 9
          } catch (error) {
            const { executed } = error as { readonly executed?: string }
            outcome = executed === 'no' ? 2 : executed === 'unknown' ? 3 : 9
          }
          Atomics.add(ledger, at + 1, 1)
          Atomics.store(ledger, at + 2, outcome)
        }
      }
      own.pending = Promise.all([line(), line(), line(), line()])
    },
    name,
    fields,
    first,
    callsEach,
  )
  return it
}

test('promise: calls – one outcome each, and no handler twice, whoever is killed', async (t) => {
  t.timeout(100_000)
  const name = uniqueName(t)
  const ledgerName = `${name}.ledger`
  const memory = SharedMemory.create(ledgerName, bytes)
  t.teardown(() => {
    memory.close()
    SharedMemory.unlink(ledgerName)
  })
  // It stays, so that the memory of calls does.
  const witness = await connected(t, name)
  const random = new Random(Number(process.env['SEED'] ?? 1))
  const servers = await Promise.all([server(t, name), server(t, name), server(t, name)])
  let made = 0
  const killed = new Set<number>()
  const callers: { readonly actor: Actor; readonly number: number }[] = []
  const hire = async (): Promise<void> => {
    const number = made++
    callers.push({ actor: await client(t, name, number * callsEach), number })
  }
  await Promise.all([hire(), hire(), hire()])
  for (let round = 0; round < 2 * (clients - 3); round++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + random.below(60)))
    if (round % 2 === 0) {
      const at = random.below(servers.length)
      const next = server(t, name)
      await servers[at]!.kill()
      servers[at] = await next
    } else {
      const at = random.below(callers.length)
      const [gone] = callers.splice(at, 1)
      killed.add(gone!.number)
      await gone!.actor.kill()
      await hire()
    }
  }
  await Promise.all(
    callers.map(({ actor }) =>
      actor.do(async ({ own }) => {
        own['stop'] = true
        await own.pending
      }),
    ),
  )
  const ledger = memory.view(Int32Array)
  const sums = { answered: 0, no: 0, unknown: 0, cutOff: 0 }
  for (let id = 0; id < made * callsEach; id++) {
    const at = id * fields
    const [begun, outcomes, outcome] = [
      ledger[at + Field.begun]!,
      ledger[at + Field.outcomes]!,
      ledger[at + Field.outcome]!,
    ]
    if (ledger[at + Field.asked] === 0) {
      if (begun + outcomes !== 0) t.fail(`call ${id} was not made: ${begun}, ${outcomes}`)
      continue
    }
    const its = `call ${id}: ${begun} begun, ${outcomes} outcomes, the last ${outcome}`
    if (begun > 1 || outcomes > 1) t.fail(its)
    if (outcomes === 0) {
      if (!killed.has(Math.floor(id / callsEach))) t.fail(its)
      sums.cutOff++
    } else if (outcome === Outcome.answered) {
      if (begun !== 1) t.fail(its)
      sums.answered++
    } else if (outcome === Outcome.no) {
      if (begun !== 0) t.fail(its)
      sums.no++
    } else if (outcome === Outcome.unknown) {
      sums.unknown++
    } else {
      t.fail(its)
    }
  }
  t.log(JSON.stringify(sums))
  t.true(sums.answered > 100)
  await Promise.all([...servers, ...callers.map((one) => one.actor)].map((one) => one.kill()))
  t.is(witness.stats().inHand + witness.stats().waiting, 0)
})
