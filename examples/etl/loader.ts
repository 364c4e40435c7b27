// Writes the records to a file, as they come, and counts them by their status.
import { open } from 'node:fs/promises'
import { openEtl } from './etl.ts'

const file = await open(process.argv[2]!, 'w')
const counts: Record<string, number> = {}

const etl = openEtl(async (records) => {
  const rows = records.map((record) => record.copy().toString())
  await file.appendFile(`${rows.join('\n')}\n`)
  for (const row of rows) {
    const { status } = JSON.parse(row) as { status: number }
    counts[status] = (counts[status] ?? 0) + 1
  }
})
process.once('SIGTERM', () => {
  etl.close()
})
await etl.work('load', { drainOnClose: 5000 })
await file.close()
process.send?.(counts)
process.disconnect()
