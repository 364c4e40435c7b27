// Reads the log, and pushes line after line. The file is read as fast as there is room in the pipeline.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { openEtl } from './etl.ts'

async function* numberedLinesOf(path: string): AsyncGenerator<string> {
  let number = 0
  for await (const line of createInterface(createReadStream(path))) yield `${++number}\t${line}`
}

const etl = openEtl()
await etl.from(numberedLinesOf(process.argv[2]!))
etl.close()
