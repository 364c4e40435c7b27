// Topics on which all languages publish, for subscribers in all. Publishers and subscribers are killed, again and again: who waits
// for each message gets each message, and who does not is told how many it has missed.

import test, { type ExecutionContext } from 'ava'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { content } from './content.js'
import { Peer, withPeers } from './peer.js'
import { languages, type Language } from './roles.js'

withPeers(test)

const noEnd = 1e9

interface Message {
  readonly subject: string
  readonly number: number
  readonly index: number
  readonly missed: number
}

function messagesOf(subscriber: Peer): Message[] {
  return subscriber.lines
    .filter((line) => line !== 'ready')
    .map((line) => {
      const [subject = '', number, index, missed] = line.split(' ')
      return { subject, number: Number(number), index: Number(index), missed: Number(missed) }
    })
}

/** Everything that is published, in its order. */
async function listen(topics: Topics, over: AbortSignal, all: Message[]): Promise<void> {
  const subscription = await topics.subscribe('m.>')
  try {
    for (;;) {
      const message = await subscription.receive({ signal: over })
      const { subject, index, missed } = message
      all.push({
        subject,
        index,
        missed,
        number: Number(
          new DataView(message.bytes.buffer, message.bytes.byteOffset).getBigUint64(0, true),
        ),
      })
      message.release()
    }
  } catch (error) {
    if (!over.aborted) throw error
  }
}

/** It got what everybody got that it wanted, but for what it was told of. */
function compare(t: ExecutionContext, subscriber: Peer, wanted: readonly Message[]): void {
  const got = messagesOf(subscriber)
  let at = wanted.findIndex(({ index }) => index === got[0]?.index)
  t.true(at >= 0)
  for (const [i, message] of got.entries()) {
    if (i > 0) at += 1 + message.missed
    const { subject, number, index } = message
    t.like(wanted[at], { subject, number, index }, `${subscriber.language}, after ${String(i)}`)
  }
}

test.serial('topics of all languages, for subscribers in all', async (t) => {
  t.timeout(300_000)
  const name = uniqueName(t, { mayLeave: true })
  using topics = Topics.open(name, { messages: 64 })
  const chance = new Random(500)
  const all: Message[] = []
  const over = new AbortController()
  const listening = listen(topics, over.signal, all)
  const publishers: Peer[] = []
  const thorough: Peer[] = []
  const hasty: Peer[] = []
  const publish = (language: Language, first: number): Peer => {
    const publisher = new Peer(
      t,
      language,
      'publish',
      name,
      languages.indexOf(language),
      first,
      noEnd,
    )
    publishers.push(publisher)
    return publisher
  }
  const subscribe = async (language: Language, waits: boolean): Promise<Peer> => {
    const how = waits ? ['wait', 64, 'm.*.even'] : ['overwrite', 4, 'm.>']
    const subscriber = new Peer(t, language, 'subscribe', name, ...how)
    ;(waits ? thorough : hasty).push(subscriber)
    await subscriber.said('ready')
    return subscriber
  }
  const waiting = await Promise.all(languages.map((language) => subscribe(language, true)))
  const passing = await Promise.all(languages.map((language) => subscribe(language, false)))
  const publishing = languages.map((language) => publish(language, 0))

  for (const [at, language] of languages.entries()) {
    const [waits, passes, publisher] = [waiting[at]!, passing[at]!, publishing[at]!]
    await waits.printed(waits.lines.length + 1 + chance.below(100))
    await waits.kill(chance)
    await passes.printed(passes.lines.length + 1 + chance.below(50))
    await passes.kill(chance)
    await publisher.printed(publisher.lines.length + 1 + chance.below(50))
    await publisher.kill(chance)
    waiting[at] = await subscribe(language, true)
    passing[at] = await subscribe(language, false)
    // It may have published the next one without telling.
    publishing[at] = publish(language, publisher.last! + 2)
    for (const other of [...waiting, ...passing, ...publishing]) {
      await other.printed(other.lines.length + 10)
    }
  }
  for (const publisher of publishing) await publisher.kill(chance)
  const closing = await topics.publish('m.end.even', content(0), { headers: { number: '0' } })
  t.is(closing, 1 + 2 * languages.length, 'for everybody who is there, and nobody else')
  for (const subscriber of [...waiting, ...passing]) {
    await subscriber.until(() => subscriber.lines.at(-1)!.startsWith('m.end.even 0 '))
  }
  for (const subscriber of [...waiting, ...passing]) await subscriber.kill()
  over.abort()
  await listening

  // What was published has come, in the order in which it was.
  for (const [at, language] of languages.entries()) {
    const numbers = all
      .filter(({ subject }) => subject.startsWith(`m.${String(at)}.`))
      .map(({ number }) => number)
    t.true(
      numbers.every((number, i) => i === 0 || number > numbers[i - 1]!),
      language,
    )
    const come = new Set(numbers)
    const own = publishers.filter((publisher) => publisher.language === language)
    for (const publisher of own) {
      t.deepEqual(
        publisher.numbers.filter((number) => !come.has(number)),
        [],
        language,
      )
    }
  }
  const even = all.filter(({ subject }) => subject.endsWith('.even'))
  for (const subscriber of thorough) {
    compare(t, subscriber, even)
    t.true(messagesOf(subscriber).every(({ missed }) => missed === 0))
  }
  for (const subscriber of hasty) compare(t, subscriber, all)
  t.true(hasty.some((subscriber) => messagesOf(subscriber).some(({ missed }) => missed > 0)))
})
