// What is in channels, for who asked for it: pictures of frames, and the beginnings of messages. Nobody on the channel notices.

import test from 'ava'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import type { Dashboard } from 'millrace/dashboard'
import { observe } from 'millrace/telemetry'

import { uniqueName } from '../support/names.js'
import { open } from '../work/open.js'
import { ask, bearer, served } from './ask.js'

interface Told {
  readonly format: string
  readonly width: number
  readonly height: number
  readonly shownWidth: number
  readonly shownHeight: number
  readonly sequence: string
}

async function picture(dashboard: Dashboard, name: string, query = '') {
  const path = `/picture?kind=frames&name=${name}${query}`
  const { status, body, headers } = await ask(dashboard, path, { headers: bearer(dashboard) })
  const told = headers['x-picture']
  return {
    status,
    type: headers['content-type'],
    body,
    told: told === undefined ? undefined : (JSON.parse(String(told)) as Told),
  }
}

/** A grey of 64 by 64, in each format: how many bytes, and those of a pixel. */
const greys: readonly (readonly [string, number, readonly number[]])[] = [
  ['RGBA', 4 * 64 * 64, [100, 100, 100, 7]],
  ['RGB', 3 * 64 * 64, [100, 100, 100]],
  ['GRAY', 64 * 64, [100]],
  ['YUYV', 2 * 64 * 64, [102, 128]],
  ['NV12', 1.5 * 64 * 64, [102]],
]

test('the newest frame is a picture, in each format, small enough to be sent often', async (t) => {
  const dashboard = await served(t, { payload: true })
  for (const [format, bytes, pixel] of greys) {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: bytes })
    t.is((await picture(dashboard, name)).status, 204, 'no frame yet')
    const frame = await writer.loan()
    frame.bytes.set(Buffer.alloc(bytes, Buffer.from(pixel)))
    if (format === 'NV12') frame.bytes.fill(128, 64 * 64)
    frame.publish()
    await new Promise((done) => setTimeout(done, 60))
    const shown = await picture(dashboard, name, `&format=${format}&width=64&height=64`)
    t.is(shown.status, 200, String(shown.body))
    t.like(shown.told, { format, width: 64, height: 64, shownWidth: 64, shownHeight: 64 })
    t.is(shown.body.length, 4 * 64 * 64)
    t.true(
      [0, 1, 2].every((at) => Math.abs(shown.body[at]! - 100) <= 2),
      format,
    )
    t.is(shown.body[3], 255)
    const same = `&format=${format}&width=64&height=64&after=${shown.told!.sequence}`
    t.is((await picture(dashboard, name, same)).status, 204, 'it was shown already')
  }
  const wide = uniqueName(t)
  using writer = FrameWriter.create(wide, { slotBytes: 1920 * 1080 * 4 })
  ;(await writer.loan()).publish()
  const shown = await picture(dashboard, wide)
  t.like(shown.told, { format: 'RGBA', width: 1920, height: 1080 }, 'by how many bytes it has')
  t.like(shown.told, { shownWidth: 640, shownHeight: 360 })
})

test('a JPEG is sent as it is, and told by its first bytes', async (t) => {
  const dashboard = await served(t, { payload: true })
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 100 })
  const frame = await writer.loan()
  frame.bytes.set([0xff, 0xd8, 0xff, 0xe0])
  frame.publish({ byteLength: 20 })
  const shown = await picture(dashboard, name)
  t.deepEqual([shown.status, shown.type, shown.body.length], [200, 'image/jpeg', 20])
})

test('what a frame cannot be, and what is no size, is said', async (t) => {
  const dashboard = await served(t, { payload: true })
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 1000 })
  ;(await writer.loan()).publish()
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /1000 bytes, which is no usual size/],
    ['&format=RGBA&width=100&height=100', /1000 bytes, and RGBA of 100 × 100 takes 40000/],
    ['&format=JPEG&width=1&height=1', /does not begin as a JPEG/],
    ['&format=PNG', /format must be one of/],
    ...['NaN', '0', '-1', '1e3', '99999', '1.5', 'Infinity', '999999999999'].map(
      (width) => [`&width=${width}&height=4`, /width and height must be whole numbers/] as const,
    ),
  ]
  for (const [query, message] of wrong) {
    const { status, body } = await picture(dashboard, name, query)
    t.is(status, 400, query)
    t.regex(String(body), message)
  }
  t.is((await picture(dashboard, `${name}-none`)).status, 409)
})

test('who shows frames takes no part: the writer and its readers have the numbers that they had', async (t) => {
  const dashboard = await served(t, { payload: true })
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64 * 64 * 4 })
  using reader = await FrameReader.open(name)
  ;(await writer.loan()).publish()
  const before = observe({ name })[0]!
  t.is((await picture(dashboard, name)).status, 200)
  const after = observe({ name })[0]!
  t.deepEqual(after.holders, before.holders)
  t.deepEqual(after.parts, before.parts)
  const { newestAge: _, ...figures } = after.figures as Record<string, number>
  t.like(before.figures, figures)
  ;(await reader.receive())!.release()
})

test('messages: what is there first, then what comes; text as text, and the rest as digits', async (t) => {
  const dashboard = await served(t, { payload: true })
  const name = uniqueName(t, { mayLeave: true })
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  producer.tryPush('grüß dich')
  producer.tryPush(Buffer.from([0, 1, 254]))
  producer.tryPush('x'.repeat(1000))
  const messages = async (kind: string) => {
    const path = `/messages?kind=${kind}&name=${name}`
    const { body } = await ask(dashboard, path, { headers: bearer(dashboard) })
    return JSON.parse(String(body)) as Record<string, unknown>[]
  }
  const [first, second, third] = await messages('queue')
  t.like(first, { op: 'message', text: 'grüß dich', binary: false, cut: false })
  t.like(second, { text: '00 01 fe', binary: true, length: 3 })
  t.like(third, { text: 'x'.repeat(200), cut: true, length: 1000 })
  producer.tryPush('later')
  t.like((await messages('queue')).at(-1), { text: 'later' })
  t.is(
    consumer.drain(() => undefined),
    4,
    'nothing is taken away',
  )

  const queue = open(t, name)
  await queue.push('a job', { id: 'one' })
  t.like((await messages('work'))[0], { op: 'job', text: 'a job', id: 'one', state: 'waiting' })
  t.is(queue.stats().ready, 1)
})
