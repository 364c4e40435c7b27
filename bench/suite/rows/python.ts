// Python: beside Node, beside what its standard library has, and its own part of the time.

import type { CaseWork, Row } from '../row.js'
import type { Parameters } from '../../side/parameters.js'
import { large, ofCase, row, size } from './making.js'

const bytes = 64
/** What a second pass checks of large frames. */
const count = 8

function withPython(name: string, parameters: Partial<Parameters>): CaseWork {
  return { ...ofCase(name, parameters), python: true }
}

const alone = (role: string, of: number) => withPython('python-alone', { role, bytes: of, count })

export const python: readonly Row[] = [...roundTrips(), ...handOvers(), ...ownTime()]

function roundTrips(): Row[] {
  const facts = { unit: 'round trip', waiting: 'waiting' } as const
  return [
    row('Python and Node, rtt: millrace', withPython('python-rtt', { bytes }), facts),
    row(
      'Python and Node, rtt: Unix socket',
      withPython('python-rtt', { bytes, transport: 'unix' }),
      facts,
    ),
    row(
      `Python and Node, frame ${size(large)}: millrace`,
      withPython('python-frame-rtt', { bytes: large, count }),
      facts,
    ),
  ]
}

function handOvers(): Row[] {
  const facts = { unit: 'round trip', waiting: 'blocking' } as const
  const name = (what: string) => `Python, frame ${size(large)}: ${what}`
  return [
    row(name('millrace'), alone('lead_frames', large), facts),
    row(name('shared_memory, copied to, and a pipe'), alone('lead_shared_memory', large), facts),
  ]
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
