// Sides that go to sleep at about the same time do so together, when this thread has run all that can run now. Each says that
// it is parked (S1), one fence serves them all (S2), and then each looks once more (S3): see native/include/millrace/waiting.hpp.
// The fence is a system call that interrupts other processors; and of those that were about to sleep some have been served
// meanwhile.

import { native } from '../addon/native.js'
import { LinkedList } from './linked-list.js'
import type { Looker } from './looker.js'
import { outsideOfAll } from './outside.js'
import { afterAllElse } from './time.js'

let parking = new LinkedList<Looker>()
let spare = new LinkedList<Looker>()

/** Parks it soon, unless it leaves its list before. */
export function parkSoon(looker: Looker): void {
  parking.add(looker)
  if (parking.length === 1) outsideOfAll(afterAllElse, parkAll)
}

function parkAll(): void {
  const all = parking
  parking = spare
  spare = all
  const together = all.length > 1
  if (together) {
    let one = all.first
    while (one !== undefined) {
      const next = one.behind // before it leaves the list
      one.announce()
      one = next
    }
  }
  const fenced = together && native.sleeperFence()
  for (let one = all.first; one !== undefined; one = all.first) {
    all.remove(one)
    if (fenced) one.lookAnnounced()
    else one.parkAlone()
  }
}
