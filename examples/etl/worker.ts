// Works the stages `hide` and `decode`, until it is ended. Any number of these may run, and any may be killed at any time: what it
// had in hand is taken by another, and nothing overtakes it behind `decode`.
import { openEtl } from './etl.ts'

const etl = openEtl()
process.once('SIGTERM', () => {
  etl.close() // what is in hand is finished first
})
process.send?.('working')
await etl.work({ drainOnClose: 5000 })
process.disconnect()
