// The pipeline, as all of its processes describe it: a line is made anonymous where it lies, becomes a record, and is loaded.
import { Pipeline, type StageJob } from 'millrace/work'
import { BrokenLine, hideClient, recordOf } from './record.ts'

/** What loads up to 64 records at a time; only one process has it. */
export type Load = (records: StageJob[]) => Promise<void>

export function openEtl(load?: Load): Pipeline<'hide' | 'decode' | 'load'> {
  const etl = Pipeline.open('access-log', {
    deadLetters: { jobs: 4096, bytes: 2 ** 20 },
    // A line is broken, or not: a worker that is killed says nothing about the line that it had.
    maxAttempts: Infinity,
  })
    .stage('hide', hide, { workers: 2 })
    .stage('decode', decode, { workers: 2, ordered: true }) // `load` gets the records in the order of the lines
  return load === undefined ? etl.stage('load') : etl.stage('load', load, { batch: 64 })
}

/** Returns nothing: the line moves on as it is now. */
function hide(line: StageJob): void {
  hideClient(line.bytes)
}

/** Returns what the line becomes; a broken one is a dead letter, and ends here. */
function decode(line: StageJob): string | undefined {
  try {
    return recordOf(line.copy().toString())
  } catch (error) {
    if (!(error instanceof BrokenLine)) throw error
    line.reject(error)
    return undefined
  }
}
