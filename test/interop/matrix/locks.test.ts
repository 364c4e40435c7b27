// Locks that all languages take from each other. Whoever has one is killed, again and again: two words that are changed with the lock
// held are whole, or whoever comes next is told that they may not be.

import test from 'ava'
import { SharedMemory } from 'millrace'
import { Mutex, RwLock } from 'millrace/sync'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { Peer, withPeers } from './peer.js'
import { languages, tour } from './roles.js'

withPeers(test)

for (const kind of ['mutex', 'rwlock'] as const) {
  test.serial(`a ${kind} that all take from each other`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    using memory = SharedMemory.create(name, 4096)
    const words = memory.view(BigUint64Array)
    const chance = new Random(600)
    const started: Peer[] = []
    const start = (at: number): Peer => {
      const peer = new Peer(t, languages[at]!, kind, name)
      started.push(peer)
      return peer
    }
    const inside = languages.map((_, at) => start(at))
    let kills = 0
    const kill = async (at: number): Promise<void> => {
      await inside[at]!.kill(chance)
      kills++
    }
    for (let round = 0; round < 3; round++) {
      for (const at of languages.keys()) {
        const victim = inside[at]!
        await victim.printed(victim.lines.length + 1 + chance.below(30))
        await kill(at)
        inside[at] = start(at)
        for (const peer of inside) await peer.printed(peer.lines.length + 3)
      }
    }
    for (const at of languages.keys()) await kill(at)
    // Somebody of this language looks as well.
    const lock = kind === 'mutex' ? Mutex.open(name) : RwLock.open(name)
    t.teardown(() => {
      lock.close()
    })
    using guard = lock instanceof Mutex ? await lock.lock() : await lock.writeLock()
    t.true(words[0] === words[1] || guard.abandoned)
    // One who died may have been inside, or may not have told of its turn.
    const turns = started.reduce((sum, peer) => sum + peer.count('turn'), 0)
    t.true(words[0]! >= BigInt(turns) && words[0]! <= BigInt(turns + kills))
    const abandoned = started.reduce((sum, peer) => sum + peer.count('abandoned'), 0)
    t.true(abandoned <= kills, 'nobody is told of a death that was none')
  })

  test.serial(`whoever waits for a ${kind} is told that its holder died`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const role = kind === 'mutex' ? 'hold-mutex' : 'hold-rwlock'
    // Each language after each other one.
    const [first, ...others] = tour
    let holder = new Peer(t, languages[first!]!, role, name)
    await holder.said('held')
    for (const at of others) {
      const next = new Peer(t, languages[at]!, role, name)
      await holder.kill()
      await next.said('abandoned')
      t.is(next.count('held'), 0)
      holder = next
    }
    await holder.kill()
  })
}
