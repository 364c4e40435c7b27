// Frames of a writer in each language, for readers in all. Writers and readers are killed, again and again.

import test from 'ava'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { Peer, upTo, withPeers } from './peer.js'
import { languages } from './roles.js'

withPeers(test)

const noEnd = 1e9

for (const [at, from] of languages.entries()) {
  test.serial(`frames from ${from} to all`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const chance = new Random(200 + at)
    const count = languages.length
    const startWriter = (): Peer => new Peer(t, from, 'write-frames', name, count, noEnd)
    let writer = startWriter()
    const readers = languages.map((language) => new Peer(t, language, 'read-frames', name))

    // Writers die: each reader has all that they published, and the next one counts on.
    for (let round = 1; round <= 2; round++) {
      const enough = (readers[0]!.last ?? 0) + 1 + chance.below(100)
      for (const reader of readers) await reader.until(() => (reader.last ?? 0) >= enough)
      await writer.kill(chance)
      for (const reader of readers) {
        await reader.said('gone', round)
        const { numbers } = reader
        t.deepEqual(numbers, upTo(numbers.length, 1), reader.language)
        t.true(numbers.length >= (writer.last ?? 0), 'what was published has come')
      }
      writer = startWriter()
    }

    // Readers die: the others and the writer go on, with what these have given back.
    for (const [seat, language] of languages.entries()) {
      const victim = readers[seat]!
      const enough = victim.last! + 1 + chance.below(50)
      await victim.until(() => victim.last! >= enough)
      await victim.kill(chance)
      const goal = Math.max(...readers.map((reader) => reader.last!)) + 20
      for (const reader of readers) {
        if (reader !== victim) await reader.until(() => reader.last! >= goal)
      }
      const successor = new Peer(t, language, 'read-frames', name)
      await successor.until(() => successor.numbers.length > 20)
      t.true(successor.numbers[0]! > victim.last!)
      readers[seat] = successor
    }
    await writer.kill(chance)
    for (const reader of readers) await reader.said('gone', 1)

    // And in good order.
    writer = new Peer(t, from, 'write-frames', name, count, 50)
    await writer.said('end')
    await writer.ended(t)
    for (const reader of readers) {
      await reader.said('end')
      await reader.ended(t)
      const { numbers } = reader
      t.deepEqual(numbers, upTo(numbers.length, numbers[0]), reader.language)
      t.is(reader.last, writer.last)
    }
  })
}
