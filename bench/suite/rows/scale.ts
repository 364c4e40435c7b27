// What does not show in a single message: many queues, opening and closing, starting.

import { spinningCores } from '../pinning.js'
import type { Row } from '../row.js'
import { ofCase, ofProgram, row } from './making.js'

const bytes = 64
const capacity = 16 * 1024
const queues = 1000

export const scale: readonly Row[] = [...many(), ...openings(), ...starts()]

function many(): Row[] {
  const spinning = { unit: 'message', waiting: 'spinning', cores: spinningCores } as const
  const waiting = { unit: 'message', waiting: 'waiting' } as const
  const both = (count: number): Row[] => {
    const what = count === 1 ? '1 queue' : `${String(count)} queues in turn`
    // A block is long: by time there would be one or two of them.
    const blocks = [8, 30] as const
    const parameters = {
      bytes,
      capacity,
      many: count,
      block: 8 * queues,
      blocks,
      count: 2 * queues,
    }
    return [
      row(`many: ${what}`, ofCase('queue-many', parameters), spinning),
      row(
        `many: ${what}, event loop`,
        ofCase('queue-many', { ...parameters, wait: 'event-loop' }),
        waiting,
      ),
    ]
  }
  return [
    ...both(1),
    ...both(queues),
    row(`idle: ${String(queues)} queues, waiting`, ofCase('queue-idle', { many: queues }), {
      unit: 'second',
      waiting: 'waiting',
      checked: false,
    }),
  ]
}

function openings(): Row[] {
  const facts = { unit: 'turn', waiting: 'spinning' } as const
  return [
    row('open and close: system calls', ofProgram('limits', 'open-close', 8), facts),
    row('open and close: millrace', ofCase('queue-open', { bytes, count: 20 }), facts),
  ]
}

function starts(): Row[] {
  const work = ofCase('first-message', { bytes: 5, count: 10 })
  const facts = { unit: 'start', waiting: 'waiting' } as const
  return [
    row('start: Node alone', work, { ...facts, payload: 0, part: 'alone' }),
    row('start: Node to first message', work, facts),
  ]
}
