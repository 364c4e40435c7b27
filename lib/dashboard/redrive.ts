// Dead letters are sent round again, which is all that the page changes.

import { observe } from '../telemetry/observe.js'
import { json, text, type Answer } from './answers.js'

/** @throws MillraceError */
export function redrive(kind: string, name: string): Answer {
  const there = observe({ name }).find((seen) => seen.kind === kind)
  if (there === undefined || (there.kind !== 'work' && there.kind !== 'pipeline')) {
    return text(404, `there is no work queue or pipeline '${name}'`)
  }
  // Nothing is opened for nothing.
  if ((there.figures?.dead ?? 0) === 0) return json({ redriven: 0 })
  using opened =
    there.kind === 'work' ? queues().WorkQueue.open(name) : lines().Pipeline.attach(name)
  return json({ redriven: opened.dead.redrive() })
}

function queues() {
  return require('../work/work-queue.js') as typeof import('../work/work-queue.js')
}

function lines() {
  return require('../work/pipeline.js') as typeof import('../work/pipeline.js')
}
