// A directory of a test's own, on the disk, removed with the test.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

export function ownDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}
