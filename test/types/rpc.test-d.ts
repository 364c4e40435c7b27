// The types of contracts as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import * as v from 'valibot'
import { z } from 'zod'
import type { Iteration } from 'millrace'
import { f64, struct, u32 } from 'millrace/struct'
import {
  call,
  contract,
  duplex,
  stream,
  structCodec,
  upload,
  type CallLoan,
  type CallResult,
  type Client,
  type Codec,
  type Contract,
  type HandlerContext,
  type Handlers,
  type StandardSchema,
} from 'millrace/rpc'

const Point = struct({ id: u32, x: f64 })
const calc = contract('calc', {
  add: call(z.tuple([z.number(), z.number()]), z.number(), { idempotent: true }),
  parse: call(z.string().transform(Number), v.pipe(v.string(), v.transform(Number))),
  ping: call<void, string>(),
  plain: call<{ a: number }, Date>({ idempotent: true }),
  move: call(Point, Point),
  ticks: stream(z.number(), z.object({ at: z.number() })),
  all: stream<void, string>(),
  sum: upload(z.number(), z.number()),
  chat: duplex<string, number>(),
})
expectAssignable<Contract>(calc)
expectType<bigint>(calc.fingerprint)

declare const client: Client<typeof calc>
const { signal } = new AbortController()
expectType<Promise<number>>(client.add([1, 2], { timeout: 50, signal }))
expectType<Promise<number>>(client.parse('5'))
expectType<Promise<string>>(client.ping())
expectType<Promise<string>>(client.ping(undefined, { deadline: new Date() }))
expectType<Promise<Date>>(client.plain({ a: 1 }))
expectType<Promise<{ id: number; x: number }>>(client.move({ id: 1, x: 2 }))
expectType<Iteration<{ at: number }>>(client.ticks(3, { signal }))
expectType<Iteration<string>>(client.all())
expectType<Promise<number>>(client.sum([1, 2, 3]))
expectType<Iteration<number>>(client.chat(new Set(['a'])))
expectError(client.add([1]))
expectError(client.add())
expectError(client.parse(5))
expectError(client.plain({ a: 'text' }))
expectError(client.ticks('three'))
expectError(client.sum(5))
expectError(client.chat([5]))
expectError(client.other())
expectError(client.add([1, 2], { retries: 3 }))

const handlers: Handlers<typeof calc> = {
  add: ([a, b]) => a + b,
  // What the schema makes of the input arrives; what it makes of the output does at the client.
  parse: async (value, context) => {
    expectType<number>(value)
    expectType<HandlerContext>(context)
    await Promise.resolve()
    return String(value)
  },
  ping: () => 'pong',
  plain: ({ a }) => new Date(a),
  move: (point) => {
    expectType<{ id: number; x: number }>(point)
    return point
  },
  async *ticks(n, { signal }) {
    for (let at = 0; at < n && !signal.aborted; at++) yield { at }
  },
  all: () => ['a', 'b'],
  sum: async (items) => {
    expectType<Iteration<number>>(items)
    let sum = 0
    for await (const item of items) sum += item
    return sum
  },
  async *chat(items) {
    for await (const text of items) yield text.length
  },
}
expectAssignable<Handlers<typeof calc>>(handlers)
expectError<Handlers<typeof calc>>({ ...handlers, add: () => 'text' })
expectError<Handlers<typeof calc>>({ ...handlers, ticks: () => 5 })
expectError<Handlers<typeof calc>>({ add: handlers.add })

expectError(contract('calc', { add: () => 5 }))
expectError(contract('calc', { add: call() }, { codec: 'xml' }))
expectError(call(z.number(), z.number(), { idempotent: 1 }))
expectAssignable<StandardSchema<string, number>>(z.string().transform(Number))

const mine: Codec<string> = {
  name: 'text',
  encode: (value) => new TextEncoder().encode(value),
  decode: (bytes) => new TextDecoder().decode(bytes),
}
contract('calc', { say: call<string, string>() }, { codec: mine })
const points = structCodec(Point)
expectType<Uint8Array>(points.encode({ id: 1, x: 2 }))
expectType<{ id: number; x: number }>(points.decode(new Uint8Array(16)))

// Loans: only where the values can be bytes.
const store = contract(
  'store',
  { put: call<Uint8Array, Uint8Array>(), text: call<string, string>() },
  { codec: 'bytes' },
)
declare const stored: Client<typeof store>
expectType<Promise<CallLoan<Uint8Array>>>(stored.put.loan(5))
expectType<Promise<CallResult>>(stored.put(Buffer.of(1), { inPlace: true }))
expectType<Promise<Uint8Array>>(stored.put(Buffer.of(1)))
expectType<Promise<Uint8Array>>(stored.put(Buffer.of(1), { timeout: 5 }))
expectError(stored.text.loan(5))
expectError(stored.text('a', { inPlace: true }))
declare const loan: CallLoan<Uint8Array>
expectType<Promise<Uint8Array>>(loan.call({ length: 3 }))
expectType<Promise<CallResult>>(loan.call({ inPlace: true }))
expectType<Promise<number>>(loan.fillFrom(0))
expectError(loan.call({ speed: 1 }))
expectAssignable<Handlers<typeof store>>({
  put: async (_bytes: Uint8Array, context: HandlerContext) => (await context.loan(5)).first(3),
  text: (text: string) => text,
})
expectError<Handlers<typeof store>>({
  put: (bytes: Uint8Array) => bytes,
  text: async (_text: string, context: HandlerContext) => await context.loan(5),
})
