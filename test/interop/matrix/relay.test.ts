// Events, semaphores and a counter that all languages use with each other: each waits for its own, counts, and wakes the next one, on
// a tour on which each language wakes each other one. Whoever has the ball or has none is killed, again and again.

import test from 'ava'
import { Counter, Semaphore, SharedEvent } from 'millrace/sync'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { until } from '../../support/until.js'
import { patience } from './content.js'
import { Peer, upTo, withPeers } from './peer.js'
import { languages, tour } from './roles.js'

withPeers(test)

const all = [...languages.keys()]
const route = tour.slice(0, -1).join('')

interface Turn {
  readonly count: number
  readonly next: number
}

function turnsOf(peer: Peer): Turn[] {
  return peer.lines
    .filter((line) => line !== 'ready')
    .map((line) => {
      const [count, next] = line.split(' ')
      return { count: Number(count), next: Number(next) }
    })
}

for (const kind of ['event', 'semaphore'] as const) {
  test.serial(`a ball goes round by ${kind}s`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const names = all.map((at) => `${name}-${at}`)
    using counter = Counter.open(name)
    const balls = names.map((own) =>
      kind === 'event' ? SharedEvent.open(own) : Semaphore.create(own, 0),
    )
    t.teardown(() => {
      for (const [at, ball] of balls.entries()) {
        ball.close()
        if (kind === 'event') SharedEvent.unlink(names[at]!)
        else Semaphore.unlink(names[at]!)
      }
    })
    const send = (at: number): void => {
      const ball = balls[at]!
      if (ball instanceof Semaphore) ball.post()
      else ball.set()
    }
    const role = kind === 'event' ? 'relay-event' : 'relay-semaphore'
    const started: Peer[] = []
    const start = (at: number): Peer => {
      const peer = new Peer(t, languages[at]!, role, name, at, route)
      started.push(peer)
      return peer
    }
    const playing = all.map(start)
    for (const peer of playing) await peer.said('ready')

    // Nobody dies: no ball is lost, and none is made.
    send(Number(route[0]))
    await until(() => counter.toNumber() >= 300, patience)
    const chance = new Random(700)
    let kills = 0
    for (let round = 0; round < 2; round++) {
      for (const at of all) {
        const victim = playing[at]!
        await victim.printed(victim.lines.length + 1 + chance.below(30))
        await victim.kill(chance)
        kills++
        const successor = start(at)
        playing[at] = successor
        await successor.said('ready')
        // It may have died with the ball: there is another one, and it does not matter if there are two.
        send(at)
        for (const peer of playing) await peer.printed(peer.lines.length + 5)
      }
    }
    for (const peer of playing) {
      await peer.kill(chance)
      kills++
    }

    // Each number was somebody's, but those of whom who died before it told.
    const turns = started.flatMap(turnsOf).sort((one, other) => one.count - other.count)
    const counts = turns.map(({ count }) => count)
    t.is(new Set(counts).size, counts.length, 'no number was given twice')
    const missing = counter.toNumber() - counts.length
    t.true(missing >= 0 && missing <= kills, `${missing} are missing after ${kills} deaths`)
    t.deepEqual(counts.slice(0, 200), upTo(200, 1))
    // While nobody died, the ball has followed the route: each language has woken each other one.
    const undisturbed = turns.slice(0, 200)
    t.true(undisturbed.every(({ count, next }) => next === Number(route[count % route.length])))
    const pairs = new Set<string>()
    for (const [at, peer] of playing.entries()) {
      const own = started.find(({ language }) => language === peer.language)!
      for (const { count, next } of turnsOf(own)) if (count <= 200) pairs.add(`${at} ${next}`)
    }
    t.is(pairs.size, languages.length * (languages.length - 1))
  })
}
