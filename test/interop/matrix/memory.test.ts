// Plain memory that one language makes and all others use. Its owner and its users are killed.

import test from 'ava'
import { SharedMemory } from 'millrace'

import { uniqueName } from '../../support/names.js'
import { bytesOf, sizes } from './content.js'
import { Peer, withPeers } from './peer.js'
import { languages } from './roles.js'

withPeers(test)

for (const [at, from] of languages.entries()) {
  test.serial(`memory of ${from}, for all`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const owner = new Peer(t, from, 'own-memory', name, 1)
    await owner.said('made')
    const users: Peer[] = []
    let seed = 1
    const use = async (language: (typeof languages)[number]): Promise<Peer> => {
      const user = new Peer(t, language, 'use-memory', name, seed++)
      await user.said('seen')
      users.push(user)
      return user
    }
    for (const language of languages) await use(language)
    // A user dies: nothing happens to the others.
    await users.shift()!.kill()
    await use(languages[(at + 1) % languages.length]!)
    {
      using memory = SharedMemory.open(name)
      t.true(bytesOf(seed, sizes.memory).equals(memory.view(Uint8Array)))
    }
    // Its owner dies: whoever has it keeps it, and the name is free as soon as nobody has.
    await owner.kill()
    t.throws(() => SharedMemory.create(name, sizes.memory), { code: 'ERR_MILLRACE_EXISTS' })
    for (const user of users) await user.kill()
    const successor = new Peer(t, languages[(at + 1) % languages.length]!, 'own-memory', name, 7)
    await successor.said('made')
    {
      using memory = SharedMemory.open(name)
      t.true(bytesOf(7, sizes.memory).equals(memory.view(Uint8Array)))
    }
    await successor.kill()
  })
}
