// The examples of the README, run as it says: two processes each.

import test from 'ava'
import { example, objects, start } from './run.js'

test.serial('messages', async (t) => {
  const consumer = start(example('messages/consumer'), [])
  const producer = start(example('messages/producer'), [])
  t.is((await producer.ended).code, 0)
  const { code, out } = await consumer.ended
  t.is(code, 0)
  t.is(out.toString(), 'tick 1\ntick 2\ntick 3\ntick 4\ntick 5\n')
  t.deepEqual(objects('.q.ticks'), [])
})

test.serial('frames', async (t) => {
  const analyser = start(example('frames/analyser'), [])
  const camera = start(example('frames/camera'), [])
  t.is((await camera.ended).code, 0)
  const { code, out, err } = await analyser.ended
  t.is(code, 0, err)
  const lines = out.toString().trimEnd().split('\n')
  t.is(lines.length, 100)
  t.is(lines.at(-1), 'frame 100: 8294400 bytes of 100')
  t.deepEqual(objects('.f.camera'), [])
})
