// A worker of work-killed: each task takes a millisecond, and stands in the ledger before and after. One that is told so kills
// itself in the midst of its next task, so that it certainly has one.

import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { sequenceOf } from '../side/content.js'
import { ledgerDescriptor } from '../side/crew.js'
import { engineOf } from '../side/engines/engine.js'
import type { Parameters } from '../side/parameters.js'

const taskMs = 1
/** A connection may still be on its way when a client says that it is ready. */
const settlingMs = 300

export async function follow(parameters: Parameters): Promise<void> {
  const told = { toDie: false }
  process.on('message', () => (told.toDie = true))
  await engineOf(parameters).work(parameters, async (job) => {
    const task = String(sequenceOf(job))
    writeSync(ledgerDescriptor, `begun ${task}\n`)
    if (told.toDie) {
      writeSync(ledgerDescriptor, `killed ${task}\n`)
      process.kill(process.pid, 'SIGKILL')
    }
    await sleep(taskMs)
    writeSync(ledgerDescriptor, `done ${task}\n`)
  })
  await sleep(settlingMs)
  process.send?.('ready')
  await new Promise(() => undefined)
}
