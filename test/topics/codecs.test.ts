// The codecs of the package carry what is published, and what arrives points to nothing of the bus.

import test from 'ava'
import { bytesCodec, json, msgpack, structured, topics, type Codec } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { open } from './open.js'

const order = { item: 'bolt', count: 7, sizes: [1, 2.5] }
const cases: readonly (readonly [Codec<never, unknown>, unknown])[] = [
  [json, order],
  [msgpack, { ...order, at: new Date(5) }],
  [structured, new Map([['orders', new Set([order])]])],
  [bytesCodec, Buffer.from('bolts')],
]

for (const [codec, value] of cases) {
  test(`the codec ${codec.name} carries messages`, async (t) => {
    const bus = open(t, uniqueName(t))
    const plant = topics(bus, { codec })
    const orders = await plant.subscribe('orders.>')
    await plant.publish('orders.eu', value)
    await plant.publish('orders.eu', value)
    const first = orders.tryReceive()!.value
    t.deepEqual(orders.tryReceive()!.value, value)
    t.deepEqual(first, value)
  })
}
