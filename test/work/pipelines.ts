// Pipelines for one test.

import type { ExecutionContext } from 'ava'
import { Pipeline, type PipelineOptions } from 'millrace/work'

/** Takes away what is left in it when the test is over, and closes it. */
export function clear(t: ExecutionContext, pipeline: Pipeline<string>): void {
  t.teardown(() => {
    pipeline.close()
    let left: Pipeline<string>
    try {
      left = Pipeline.attach(pipeline.name)
    } catch (error) {
      if ((error as { readonly code?: string }).code === 'ERR_MILLRACE_NOT_FOUND') return
      throw error
    }
    for (const stage of left.stages) {
      for (let job = left.tryTake(stage); job !== undefined; job = left.tryTake(stage)) job.drop()
    }
    left.dead.purge()
    left.close()
  })
}

/** Of two stages that nobody works. */
export function two(
  t: ExecutionContext,
  name: string,
  options?: PipelineOptions,
): Pipeline<'decode' | 'load'> {
  const pipeline = Pipeline.open(name, options).stage('decode').stage('load')
  clear(t, pipeline)
  return pipeline
}
