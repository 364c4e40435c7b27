// The examples of the README, run as it says: two processes each.

import { spawnSync } from 'node:child_process'
import test from 'ava'
import sharp from 'sharp'
import { WebSocket } from 'ws'
import { example, objects, start, until } from './run.js'

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0

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

test.serial(
  'jobs: every request is answered, though a worker is killed every second',
  async (t) => {
    const pool = start(example('jobs/start'), ['--kill'], undefined, { PORT: '0' })
    let heard = ''
    pool.child.stdout?.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    await until(() => heard.includes('/\n'), 'the server tells its address')
    const url = heard.trim()
    const picture = await sharp({
      create: { width: 1600, height: 1200, channels: 3, background: '#468' },
    })
      .jpeg()
      .toBuffer()
    const ask = async (body: Buffer): Promise<{ status: number; bytes: Buffer }> => {
      const response = await fetch(url, { method: 'POST', body: new Uint8Array(body) })
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
    }
    const until4s = performance.now() + 4000
    let answered = 0
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (performance.now() < until4s) {
          const { status, bytes } = await ask(picture)
          t.is(status, 200)
          const { format, width, height } = await sharp(bytes).metadata()
          t.deepEqual([format, width, height], ['png', 128, 96])
          answered++
        }
      }),
    )
    t.true(answered >= 8)
    t.is((await ask(Buffer.from('no picture'))).status, 422)
    pool.child.kill('SIGTERM')
    const { code, err } = await pool.ended
    t.is(code, 0, err)
    await until(() => objects('.j.thumbnails').length === 0, 'the queues are gone')
  },
)

test.serial('etl: the output is what one process makes, though workers are killed', async (t) => {
  const { code, out, err } = await start(example('etl/start'), ['--kill']).ended
  t.is(code, 0, err)
  const text = out.toString()
  t.regex(text, /^broken lines: 217, such as \d+: \S/m)
  t.regex(text, /^as one process makes it$/m)
  t.true(Number(/^workers killed: (\d+)$/m.exec(text)?.[1]) > 0, text)
  await until(() => objects('.access-log').length === 0, 'the pipeline is gone')
})

for (const [how, args] of [
  ['with ffmpeg where there is one', []],
  ['with the generator', ['--generator']],
] as const) {
  test.serial(`video: the recording is the picture, ${how}`, async (t) => {
    const { code, out, err } = await start(example('video/start'), args).ended
    const text = out.toString()
    t.is(code, 0, text + err)
    t.regex(text, /^camera: 100 frames$/m)
    t.regex(text, /^recorder: 100 frames$/m)
    t.regex(
      text,
      /^analyser: 100 frames 320 wide, brightness 12\d\.\d, \d+ % of the pixels moved$/m,
    )
    const [, shown, of] = /^viewer: showed (\d+) of (\d+) frames, the last one was 100$/m.exec(
      text,
    )!
    t.is(of, '100')
    t.true(Number(shown) > 0 && Number(shown) < 100, text)
    t.regex(text, /^the recording is the picture$/m)
    t.is(text.includes('source: ffmpeg'), args.length === 0 && hasFfmpeg)
    t.deepEqual(objects('.f.video'), [])
  })
}

test.serial('prices: a strategy is killed, and every price is accounted for', async (t) => {
  const { code, out, err } = await start(example('prices/start'), []).ended
  t.is(code, 0, err)
  const text = out.toString()
  const ledger = (name: string) => {
    const found = new RegExp(`^${name}: seen (\\d+), missed (\\d+), while it was down (\\d+)$`, 'm')
    const [, seen, missed, down] = found.exec(text)!.map(Number)
    return { seen: seen!, missed: missed!, down: down! }
  }
  // The one that was killed was down for a while; the slow one missed some, and knows; the other two have missed none.
  const [trend, hedge, report] = [ledger('trend'), ledger('hedge'), ledger('report')]
  t.true(trend.seen > 0 && trend.down > 0 && trend.missed === 0, text)
  t.true(hedge.seen > 0 && hedge.down === 0 && hedge.missed === 0, text)
  t.true(report.seen > 0 && report.down === 0 && report.missed > 0, text)
  t.is(trend.seen + trend.down, report.seen + report.missed)
  t.regex(text, /^every price is accounted for$/m)
  await until(() => objects('market').length === 0, 'the bus and the ledgers are gone')
})

test.serial('calculator: every call has one outcome, though servers are killed', async (t) => {
  const { code, out, err } = await start(example('calculator/start'), ['--kill']).ended
  t.is(code, 0, err)
  const text = out.toString()
  t.true(Number(/^divided: (\d+),/m.exec(text)?.[1]) > 100, text)
  t.true(Number(/^tickets: (\d+) answered/m.exec(text)?.[1]) > 100, text)
  t.regex(text, /^primes below 10,000: 1229; the first above 1000: 1009$/m)
  t.regex(text, /^1 \+ 2 \+ … \+ 1000 = 500500; 1 \/ 0: RangeError: 1 \/ 0$/m)
  t.true(Number(/^servers killed: (\d+)$/m.exec(text)?.[1]) > 0, text)
  t.regex(text, /^every call had one outcome$/m)
  await until(() => objects('calculator').length === 0, 'the calls are gone')
})

test.serial('migration: one process, several, two hosts, and no line changed', async (t) => {
  const { code, out, err } = await start(example('migration/start'), []).ended
  t.is(code, 0, err)
  const text = out.toString()
  const sum = /^in one process: (.+)$/m.exec(text)![1]!
  t.regex(sum, /^200 orders, \d+ in all$/)
  t.true(text.includes(`in several: ${sum}\n`), text)
  t.regex(text, /^on two hosts \(.+\): 200 orders/m)
  t.regex(text, /^the same, with no line changed$/m)
  await until(() => objects('shop').length === 0, 'the queue and the bus are gone')
})

test.serial(
  'two-hosts: joined over tcp://, every order has one receipt, though a gateway is killed',
  async (t) => {
    const { code, out, err } = await start(example('two-hosts/start'), ['tcp']).ended
    t.is(code, 0, err)
    t.regex(out.toString(), /^over tcp: 400 orders, 400 receipts, 0 of them twice$/m)
    t.deepEqual([...objects('j.shop.'), ...objects('j.works.')], [])
  },
)

test.serial('transport: a page sees what is published, and commands it', async (t) => {
  const { child, ended } = start(example('transport/start'), [])
  let heard = ''
  child.stdout?.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  await until(() => heard.includes('/\n'), 'the gateway tells its address')
  const { origin, href } = new URL(heard.trim())
  const page = await (await fetch(href)).text()
  const address = /new WebSocket\('(.+?)'\)/.exec(page)![1]!

  const stranger = new WebSocket(address, { origin: 'http://example.org' })
  const refused = new Promise((resolve) => stranger.once('error', resolve))
  t.regex(String(await refused), /403/)

  // As the page does, which a browser shows in the test of its own: npm run test:browser.
  const socket = new WebSocket(address, { origin })
  const readings: { number: number; every: number }[] = []
  let code = 0
  socket.on('message', (data) => readings.push(JSON.parse((data as Buffer).toString()) as never))
  socket.on('close', (said) => (code = said))
  await until(() => readings.length > 2, 'readings come')
  t.is(readings[1]!.number, readings[0]!.number + 1)
  t.is(readings[1]!.every, 200)
  socket.send('faster')
  await until(() => readings.at(-1)!.every === 100, 'the command is obeyed')

  child.kill('SIGTERM')
  const { code: exit, err } = await ended
  t.is(exit, 0, err)
  await until(() => code > 0, 'the page is told')
  t.is(code, 1000)
  await until(() => objects('thermometer').length === 0, 'the bus is gone')
})
