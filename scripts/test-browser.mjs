// Shows pages in a browser without a window: that of examples/transport, and the live page of `millrace dashboard`. Needs Chromium, or what
// is like it, on the PATH or in the variable CHROMIUM, and tests and examples compiled (npm run build:ts && npm run build:test).
//
//   node scripts/test-browser.mjs [--only transport|dashboard] [--screenshots FOLDER]
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { findChromium } from './browser/chromium.mjs'
import { testDashboard } from './browser/dashboard.mjs'
import { testTransport } from './browser/transport.mjs'

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, screenshots: { type: 'string' } },
})
const root = fileURLToPath(new URL('../', import.meta.url))

if (isThereOne()) {
  if (options.only !== 'dashboard') await testTransport(root)
  if (options.only !== 'transport') await testDashboard(root, options)
}

/** Where all is checked there must be one. */
function isThereOne() {
  try {
    return findChromium() !== ''
  } catch (error) {
    if (process.env.CI) throw error
    console.log(`skipped: ${error.message}`)
    return false
  }
}
