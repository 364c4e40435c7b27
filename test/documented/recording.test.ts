// The program of docs/recording.md, taken from the page: it prints what the page says.

import { join } from 'node:path'
import test from 'ava'

import { fileOf, programOf, samplesOf, startNode } from '../support/documented.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'

test('what is recorded is looked into, and sent again', async (t) => {
  const [camera, again] = [uniqueName(t), uniqueName(t)]
  const file = join(ownDirectory(t), 'camera.mcap')
  const names = { 'camera.mcap': file, 'camera-again': again, camera }
  const run = await startNode(t, programOf(t, 'recording.md', 'again.ts', names))
  t.deepEqual(await run.ended(), { code: 0, signal: null }, run.stderr)
  const samples = samplesOf('docs/recording.md')
  t.is(fileOf(samples[0]!), 'again.ts')
  t.deepEqual(
    run.lines.map((line) => line.replace(camera, 'camera')),
    samples[1]!.text.trim().split('\n'),
  )
})
