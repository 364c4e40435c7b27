// A cell of a writer in each language, for readers in all. Writers and readers are killed, again and again.

import test, { type ExecutionContext } from 'ava'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { Peer, withPeers } from './peer.js'
import { languages } from './roles.js'

withPeers(test)

const noEnd = 1e9

/** Newer ones only, each once. That they are whole the peers see. */
function assertNewer(t: ExecutionContext, { language, numbers }: Peer): void {
  t.true(
    numbers.every((version, i) => i === 0 || version > numbers[i - 1]!),
    language,
  )
}

for (const [at, from] of languages.entries()) {
  test.serial(`a cell of ${from}, for all`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const chance = new Random(300 + at)
    let writer = new Peer(t, from, 'write-cell', name, noEnd)
    const readers = languages.map((language) => new Peer(t, language, 'read-cell', name))

    // Writers die: the last value that was written is there, and the next one counts on.
    for (let round = 1; round <= 3; round++) {
      for (const reader of readers) {
        const enough = reader.numbers.length + 1 + chance.below(50)
        await reader.until(() => reader.numbers.length >= enough)
      }
      await writer.kill(chance)
      for (const reader of readers) {
        await reader.said('gone', round)
        t.true(reader.last! >= writer.last!, reader.language)
        t.is(reader.last, readers[0]!.last)
        assertNewer(t, reader)
      }
      writer = new Peer(t, from, 'write-cell', name, noEnd)
    }

    // Readers die: nobody notices.
    for (const [seat, language] of languages.entries()) {
      const victim = readers[seat]!
      const enough = victim.numbers.length + 1 + chance.below(50)
      await victim.until(() => victim.numbers.length >= enough)
      await victim.kill(chance)
      for (const reader of readers) {
        const more = reader.numbers.length + 10
        if (reader !== victim) await reader.until(() => reader.numbers.length >= more)
      }
      const successor = new Peer(t, language, 'read-cell', name)
      await successor.until(() => successor.numbers.length > 10)
      t.true(successor.numbers[0]! >= victim.last!)
      readers[seat] = successor
    }
    await writer.kill(chance)
    for (const reader of readers) await reader.said('gone', 1)

    // And in good order: all see the last value.
    writer = new Peer(t, from, 'write-cell', name, 50)
    await writer.said('end')
    await writer.ended(t)
    for (const reader of readers) {
      await reader.said('end')
      await reader.ended(t)
      assertNewer(t, reader)
      t.is(reader.last, writer.last)
    }
  })
}
