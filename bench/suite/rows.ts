// All rows, in the order in which they are printed.

import type { Row } from './row.js'
import { calls } from './rows/calls.js'
import { connections } from './rows/connections.js'
import { files } from './rows/files.js'
import { frames } from './rows/frames.js'
import { observing } from './rows/observing.js'
import { primitives } from './rows/primitives.js'
import { python } from './rows/python.js'
import { roundTrips } from './rows/round-trips.js'
import { scale } from './rows/scale.js'
import { throughput } from './rows/throughput.js'
import { topics } from './rows/topics.js'
import { work } from './rows/work.js'

export const rows: readonly Row[] = [
  ...roundTrips,
  ...throughput,
  ...frames,
  ...work,
  ...topics,
  ...calls,
  ...connections,
  ...files,
  ...scale,
  ...observing,
  ...primitives,
  ...python,
]
