// The examples that need Python, run as their READMEs say.

import { spawnSync } from 'node:child_process'
import process from 'node:process'
import test from 'ava'

import { example, objects, start, until } from '../cli/run.js'

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0

for (const args of hasFfmpeg ? [[], ['--generator']] : [['--generator']]) {
  test.serial(`vision ${args.join(' ')}: Python finds the disc in every picture`, async (t) => {
    const { code, out, err } = await start(example('vision/start'), args).ended
    t.is(code, 0, err)
    const text = out.toString()
    t.regex(text, args.length === 0 ? /^source: ffmpeg$/m : /^source: generator$/m)
    t.regex(text, /^vision: (numpy|OpenCV [\d.]+)$/m)
    t.regex(text, /^camera: 200 frames$/m)
    t.regex(text, /^vision: 200 frames$/m)
    t.regex(text, /^show: 200 answers, at most 0\.00 pixels off$/m)
    await until(() => objects('.vision').length === 0, 'the channels are gone')
  })
}

test.serial('vision without OpenCV finds the same', async (t) => {
  // A module of that name that cannot be imported stands before the real one.
  const without = new URL('../../../test/python/fixtures/without-opencv', import.meta.url).pathname
  const PYTHONPATH = [without, process.env['PYTHONPATH']].join(':')
  const { code, out, err } = await start(example('vision/start'), ['--generator'], undefined, {
    PYTHONPATH,
  }).ended
  t.is(code, 0, err)
  t.regex(out.toString(), /^vision: numpy$/m)
  t.regex(out.toString(), /^show: 200 answers, at most 0\.00 pixels off$/m)
})

test.serial('vision ends when Python cannot be started', async (t) => {
  const { code } = await start(example('vision/start'), ['--generator'], undefined, {
    PYTHON: 'false',
  }).ended
  t.is(code, 1)
})

test.serial('feed: C++, TypeScript and Python agree on what was traded', async (t) => {
  const { code, out, err } = await start(example('feed/start'), ['200000']).ended
  t.is(code, 0, err)
  const text = out.toString()
  t.regex(text, /^feed: 200000 ticks$/m)
  const trades = /^strategy: traded on (\d+) of 200000 ticks, turnover ([\d.]+)$/m.exec(text)
  t.true(Number(trades?.[1]) > 1000, text)
  t.true(text.includes(`analytics: ${trades![1]!} trades, turnover ${trades![2]!}\n`), text)
  t.regex(text, /^both have the same turnover$/m)
  await until(() => objects('feed-').length === 0, 'the queues are gone')
})
