// Files and streams from process to process: as the demonstration sends them, by pipeline(), and through the command line.

import type { CaseWork, Row } from '../row.js'
import { ofCase, row } from './making.js'

const megabyte = 1_000_000
const gibibyte = 1024 ** 3
const facts = { unit: 'transfer', waiting: 'waiting' } as const

export const files: readonly Row[] = [
  ...besideSocket(
    'file of 100 MB, SHA-256 at both ends',
    ofCase('file-transfer', { bytes: 100 * megabyte, hash: true, count: 5 }),
  ),
  ...besideSocket(
    'file of 100 MB, four times',
    ofCase('file-transfer', { bytes: 400 * megabyte, count: 3 }),
  ),
  ...besideSocket(
    'pipeline() of 1 GiB in chunks of 64 KiB, a ring of 4 MiB',
    ofCase('stream-pipeline', { bytes: gibibyte, count: 3, capacity: 4 * 1024 * 1024 }),
  ),
  ...besideSocket(
    'pipeline() of 1 GiB in chunks of 64 KiB, the usual ring',
    ofCase('stream-pipeline', { bytes: gibibyte, count: 3 }),
  ),
  ...besidePipe(ofCase('send-recv', { bytes: 1000 * megabyte, count: 2 })),
  ...besideWritev(ofCase('record-frame', { bytes: 8 * 1024 * 1024, count: 24 })),
]

function besideSocket(what: string, work: CaseWork): Row[] {
  return [
    row(`${what}: millrace`, work, facts),
    row(`${what}: Unix socket`, work, { ...facts, part: 'socket' }),
  ]
}

function besideWritev(work: CaseWork): Row[] {
  const its = { unit: 'frame', waiting: 'waiting' } as const
  return [
    row('frame 8 MiB into a file: recorded', work, its),
    row('frame 8 MiB into a file: writev', work, { ...its, part: 'plain' }),
  ]
}

function besidePipe(work: CaseWork): Row[] {
  return [
    row('file of 1 GB: millrace send | millrace recv', work, facts),
    row('file of 1 GB: cat | cat', work, { ...facts, part: 'pipe' }),
  ]
}
