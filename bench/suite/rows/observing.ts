// What seeing costs: those who look, and those who are looked at.

import type { Row } from '../row.js'
import { large, ofCase, row, size } from './making.js'

const many = 1000
const counted = { waiting: 'waiting', checked: false, slow: true, repetitions: 3 } as const

const beside = {
  ...ofCase('dashboard-frames', { bytes: large, count: 5 }),
  limit: 120_000,
}

export const observing: readonly Row[] = [
  row(`export: a page of ${String(many)} queues`, ofCase('export-many', { many, count: 50 }), {
    ...counted,
    unit: 'turn',
  }),
  row(`top: ${String(many)} queues, on a terminal`, ofCase('top-many', { many, count: 20 }), {
    ...counted,
    unit: 'second',
  }),
  row(`frame ${size(large)} at 60 Hz, p99: no page is open`, beside, {
    ...counted,
    unit: 'frame',
    part: 'alone',
  }),
  row(`frame ${size(large)} at 60 Hz, p99: beside an open page`, beside, {
    ...counted,
    unit: 'frame',
    part: 'beside',
  }),
]
