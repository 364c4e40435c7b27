// Python: beside Node, beside what its standard library has, and its own part of the time.

import type { CaseWork, Cores, Row } from '../row.js'
import type { Parameters } from '../../side/parameters.js'
import { large, ofCase, row, size } from './making.js'

const bytes = 64
/** Where the system puts the sides, which is on one core where there is little else to be had; and on a core each. */
const placements: readonly Cores[] = ['unpinned', 'two cores']
/** The quick form does without the second. */
const placed = (cores: Cores) => ({ cores, slow: cores !== 'unpinned' })
/** What a second pass checks of large frames. */
const count = 8

function withPython(name: string, parameters: Partial<Parameters>): CaseWork {
  return { ...ofCase(name, parameters), python: true }
}

const alone = (role: string, of: number) => withPython('python-alone', { role, bytes: of, count })

export const python: readonly Row[] = [...roundTrips(), ...handOvers(), ...ownTime()]

function roundTrips(): Row[] {
  const facts = { unit: 'round trip', waiting: 'waiting' } as const
  const overQueues = withPython('python-rtt', { bytes })
  const overSocket = withPython('python-rtt', { bytes, transport: 'unix' })
  const overFrames = withPython('python-frame-rtt', { bytes: large, count })
  return [
    ...placements.flatMap((cores) => [
      row('Python and Node, rtt: millrace', overQueues, { ...facts, ...placed(cores) }),
      row('Python and Node, rtt: Unix socket', overSocket, { ...facts, ...placed(cores) }),
    ]),
    row(`Python and Node, frame ${size(large)}: millrace`, overFrames, facts),
  ]
}

function handOvers(): Row[] {
  const facts = { unit: 'round trip', waiting: 'blocking' } as const
  const name = (what: string) => `Python, frame ${size(large)}: ${what}`
  return placements.flatMap((cores) => [
    row(name('millrace'), alone('lead_frames', large), { ...facts, ...placed(cores) }),
    row(name('shared_memory, copied to, and a pipe'), alone('lead_shared_memory', large), {
      ...facts,
      ...placed(cores),
    }),
  ])
}

function ownTime(): Row[] {
  const facts = { unit: 'frame', waiting: 'spinning' } as const
  const side = alone('frame_time', large)
  const name = `Python alone, frame ${size(large)}`
  return [
    row(`${name}: lent and published`, side, { ...facts, part: 'write', checked: false }),
    row(`${name}: received and released`, side, { ...facts, part: 'read', checked: false }),
    row('Python, for frame in reader, 64 B', withPython('python-frames', { bytes }), facts),
  ]
}
