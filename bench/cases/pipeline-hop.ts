// Jobs on their way through a pipeline whose stages two processes do by turns: what it takes to say that a stage is done and to
// have the job in the next one, in the other process. Nothing is done with a job but to look at its number at the end.

import type { ChildProcess } from 'node:child_process'

import { Pipeline } from 'millrace/work'

import { Content, payload } from '../side/content.js'
import { CpuTime } from '../side/cpu-time.js'
import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { Warming } from '../side/warming.js'

const stages = Array.from({ length: 16 }, (_, i) => `stage ${String(i)}`)
const ours = stages.filter((_, i) => i % 2 === 0)
const theirs = stages.filter((_, i) => i % 2 === 1)
/** From the first stage to the last one of ours: what comes before and after is not timed. */
const hops = stages.length - 2
/** The same for every payload, so that nothing but that differs. */
const bytes = 8 * 1024 * 1024

function open({ name, jobs }: Parameters): Pipeline<string> {
  let pipeline: Pipeline<string> = Pipeline.open(name, { jobs, bytes })
  for (const stage of stages) pipeline = pipeline.stage(stage)
  return pipeline
}

function next(pipeline: Pipeline<string>, stage: string) {
  for (;;) {
    const job = pipeline.tryTake(stage)
    if (job !== undefined) return job
  }
}

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { check, count, stretch } = parameters
  using pipeline = open(parameters)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  const stopwatch = new Stopwatch(hops)
  const push = (job: Uint8Array) => {
    while (!pipeline.tryPush(job));
  }
  let sequence = 0
  const trip = (note: (nanoseconds: number) => void) => {
    content.write(message, sequence)
    push(message)
    let job = next(pipeline, ours[0]!)
    const start = performance.now()
    for (const stage of ours.slice(1)) {
      job.complete()
      job = next(pipeline, stage)
    }
    note((performance.now() - start) * 1e6)
    content.read(job.bytes, sequence++)
    job.complete()
  }
  const unheeded = () => undefined
  const end = async () => {
    push(message.subarray(0, 1))
    for (const stage of ours) next(pipeline, stage).complete()
    await pipeline.idle()
  }
  if (check) {
    while (sequence < count) trip(unheeded)
    await end()
    return checked
  }
  const warming = new Warming(parameters)
  while (!warming.isOver(sequence)) trip(unheeded)
  const first = sequence
  const cpu = new CpuTime(pid!)
  const until = performance.now() + stretch
  for (let now = 0; now < until;) {
    trip((nanoseconds) => {
      stopwatch.record(nanoseconds)
    })
    now = warming.note(sequence)
  }
  const measured = {
    ...stopwatch.result(),
    ...cpu.per((sequence - first) * hops),
    ...warming.result(),
  }
  await end()
  return measured
}

/** A job of one byte is the last. */
export function follow(parameters: Parameters): Promise<void> {
  using pipeline = open(parameters)
  for (let isLast = false; !isLast;) {
    for (const stage of theirs) {
      const job = next(pipeline, stage)
      isLast = job.length === 1
      job.complete()
    }
  }
  return Promise.resolve()
}
