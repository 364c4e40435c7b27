// Contracts: what is one, when two are the same, and what is none.

import test from 'ava'
import * as v from 'valibot'
import { z } from 'zod'
import { call, contract, duplex, json, stream, upload, type Codec } from 'millrace/rpc'
import { f64, struct, u32 } from 'millrace/struct'

const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const

const Point = struct({ id: u32, x: f64 })

test('two contracts are the same if their names, kinds, codecs and structs are', (t) => {
  const one = contract('calc', {
    add: call(z.number(), z.number(), { idempotent: true }),
    ticks: stream<number, number>(),
    move: call(Point, Point),
  })
  const same = contract('calc', {
    move: call(struct({ id: u32, x: f64 }), Point),
    ticks: stream(v.string(), v.string()),
    add: call<number, number>(),
  })
  t.is(one.fingerprint, same.fingerprint)
  t.true(one.fingerprint > 0n && one.fingerprint < 2n ** 64n)

  const { add, ticks, move } = one.methods
  const others = [
    contract('other', { add, ticks, move }),
    contract('calc', { add, ticks }),
    contract('calc', { plus: add, ticks, move }),
    contract('calc', { add, ticks: duplex<number, number>(), move }),
    contract('calc', { add, ticks, move }, { codec: 'msgpack' }),
    contract('calc', { add, ticks, move: call(Point, struct({ id: u32, y: f64 })) }),
    contract('calc', { add, ticks, move: call(Point) }),
  ]
  const prints = new Set([one, ...others].map(({ fingerprint }) => fingerprint))
  t.is(prints.size, others.length + 1)
  t.is(one.codec, 'json')
})

test('a codec of one’s own is known by its name', (t) => {
  const mine: Codec = { ...json, name: 'mine' }
  const methods = { add: call() }
  const one = contract('calc', methods, { codec: mine })
  t.is(one.codec, 'mine')
  t.is(one.fingerprint, contract('calc', methods, { codec: { ...mine } }).fingerprint)
  t.not(one.fingerprint, contract('calc', methods).fingerprint)
  t.is(
    contract('calc', methods, { codec: json }).fingerprint,
    contract('calc', methods).fingerprint,
  )
})

test('what is no contract is refused', (t) => {
  const methods = { add: call() }
  const wrong = [
    () => contract('', methods),
    () => contract(5 as never, methods),
    () => contract('x'.repeat(256), methods),
    () => contract('calc', {}),
    () => contract('calc', undefined as never),
    () => contract('calc', { add: () => 5 } as never),
    () => contract('calc', { add: { kind: 'call' } } as never),
    () => contract('calc', { then: call() }),
    () => contract('calc', methods, { codec: 'xml' as never }),
    () =>
      contract('calc', methods, { codec: { name: 'half', encode: () => Buffer.of() } as never }),
    () => contract('calc', methods, { codecs: 'json' } as never),
    () => call(5 as never),
    () => call({ '~standard': { version: 2, validate: () => ({ value: 1 }) } } as never),
    () => upload(z.number(), 'number' as never),
    () => stream(z.number(), z.number(), { idempotent: 'yes' as never }),
    () => call({ idem: true } as never),
  ]
  for (const [at, make] of wrong.entries()) t.throws(make, invalid, String(at))
})
