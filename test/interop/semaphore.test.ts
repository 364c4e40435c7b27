// A semaphore is the same object for programs in other languages, whoever makes it.

import test from 'ava'
import { Semaphore } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { createSemaphore } from '../support/semaphores.js'
import { within } from '../support/until.js'
import { languages, startPeer } from './peer.js'

for (const language of languages) {
  test.serial(`${language} opens the semaphore that Node creates`, async (t) => {
    const semaphore = createSemaphore(t, 1)
    const peer = await startPeer(t, language)
    t.is(await peer.ask(`open-semaphore /${semaphore.name}`), 'ok')
    t.is(await peer.ask('value'), 'ok 1')
    t.is(await peer.ask('wait 0'), 'ok')
    t.false(semaphore.tryWait())
    t.is(await peer.ask('wait 20'), 'timeout')
    const waited = semaphore.wait({ timeout: 20_000 })
    const waiting = peer.ask('wait 20000')
    semaphore.post(2)
    t.is(await waiting, 'ok', 'a post here wakes a wait there')
    await waited
    t.is(await peer.ask('post 2'), 'ok')
    semaphore.waitSync({ timeout: 20_000 })
    t.is(semaphore.value, 1)
    t.is(await peer.end(), '0')
    t.is(semaphore.value, 1, 'its end takes nothing away')
  })

  test.serial(`Node opens the semaphore that ${language} creates`, async (t) => {
    const name = uniqueName(t)
    const peer = await startPeer(t, language)
    t.is(await peer.ask(`create-semaphore /${name} 3`), 'ok')
    t.throws(() => Semaphore.create(name, 1), { code: 'ERR_MILLRACE_EXISTS' })
    using semaphore = Semaphore.open(name)
    using either = Semaphore.openOrCreate(name, 9)
    t.false(either.created)
    t.is(semaphore.value, 3)
    for (let i = 0; i < 3; i++) t.true(semaphore.tryWait())
    t.is(await peer.ask('wait 0'), 'timeout')
    const waits = [1, 2, 3].map(() => semaphore.wait({ timeout: 20_000 }))
    t.is(await peer.ask('post 3'), 'ok')
    await within(20_000, Promise.all(waits))
    t.is(await peer.ask('value'), 'ok 0')
    t.is(await peer.ask(`unlink-semaphore /${name}`), 'ok')
    t.throws(() => Semaphore.open(name), { code: 'ERR_MILLRACE_NOT_FOUND' })
    t.is(await peer.ask('post 1'), 'ok')
    t.true(semaphore.tryWait(), 'without a name it goes on')
  })
}

test.serial(
  'a permit that a C program died with is lost, until somebody posts for it',
  async (t) => {
    const semaphore = createSemaphore(t, 1)
    const peer = await startPeer(t, 'C')
    await peer.ask(`open-semaphore /${semaphore.name}`)
    t.is(await peer.ask('wait 0'), 'ok')
    await peer.kill()
    await t.throwsAsync(semaphore.wait({ timeout: 30 }), { code: 'ERR_MILLRACE_TIMEOUT' })
    semaphore.post()
    await semaphore.wait({ timeout: 20_000 })
    t.is(semaphore.value, 0)
  },
)

test.serial('C, Python and Node together lose and invent no permit', async (t) => {
  const initial = 6 // more than the five processes can owe
  const semaphore = createSemaphore(t, initial)
  const { name } = semaphore
  const peers = [
    ...(await Promise.all([startPeer(t, 'C'), startPeer(t, 'C'), startPeer(t, 'Python')])),
  ]
  const nodes = [actor(t), actor(t)]
  for (const peer of peers) t.is(await peer.ask(`open-semaphore /${name}`), 'ok')
  const others = peers.map(async (peer) => {
    const [ok, taken, posted] = (await peer.ask('churn 1500')).split(' ')
    t.is(ok, 'ok')
    return { taken: Number(taken), posted: Number(posted) }
  })
  const ours = nodes.map((node) =>
    node.do(async ({ Semaphore }, name) => {
      const semaphore = Semaphore.open(name, { poll: Math.random() < 0.5 ? 0 : 0.1 })
      let taken = 0
      let posted = 0
      let gaveUp = 0
      let owed = 0
      const below = (bound: number) => Math.floor(Math.random() * bound)
      const settle = () => {
        taken++
        const give = owed > 0 ? 2 : below(4) === 0 ? 0 : 1 // keeps one now and then, for a while
        owed += 1 - give
        semaphore.post(give)
        posted += give
      }
      const lane = async () => {
        for (let i = 0; i < 120; i++) {
          const controller = new AbortController()
          const how = below(4)
          if (how === 0) {
            if (semaphore.tryWait()) settle()
            continue
          }
          const wait = semaphore.wait(
            how === 1 ? { timeout: below(4) } : { signal: controller.signal, timeout: 20 },
          )
          if (how === 2) setTimeout(() => controller.abort(), below(3))
          await wait.then(settle, () => gaveUp++)
        }
      }
      await Promise.all(Array.from({ length: 8 }, lane))
      semaphore.close()
      return { taken, posted, gaveUp }
    }, name),
  )
  const counts = await Promise.all([...others, ...ours])
  const total = (key: 'taken' | 'posted') => counts.reduce((sum, each) => sum + each[key], 0)
  t.log(counts)
  for (const each of counts) t.true(each.taken > 0)
  t.is(semaphore.value, initial + total('posted') - total('taken'))
})
