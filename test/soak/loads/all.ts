// The loads by their names.

import type { Load } from '../load.js'
import { cell } from './cell.js'
import { churn } from './churn.js'
import { fairness } from './fairness.js'
import { frames } from './frames.js'
import { handOver } from './hand-over.js'
import { overload } from './overload.js'
import { pipeline } from './pipeline.js'
import { queue } from './queue.js'
import { rpc } from './rpc.js'
import { sync } from './sync.js'
import { topics } from './topics.js'
import { visitors } from './visitors.js'
import { work } from './work.js'
import { workers } from './workers.js'

export const loads: Readonly<Record<string, Load>> = {
  queue,
  frames,
  cell,
  sync,
  work,
  pipeline,
  topics,
  rpc,
  churn,
  'hand-over': handOver,
  workers,
  visitors,
  overload,
  fairness,
}
