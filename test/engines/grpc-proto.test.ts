// Contracts that a .proto describes: a client of the service calls them, and its servers are called.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex, Readable, Writable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  call,
  connect,
  duplex,
  protoService,
  serve,
  stream,
  upload,
  type Contract,
  type Handlers,
} from 'millrace/rpc'

import { uniqueName } from '../support/names.js'

const text = `syntax = "proto3";
package shop.v1;
enum Kind { PLAIN = 0; DEAR = 1; }
message Item { string name = 1; int64 price = 2; Kind kind = 3; bytes image = 4; }
message Count { int32 items = 1; int64 price = 2; }
message Empty {}
service Cart {
  rpc Add(Item) returns (Count) { option idempotency_level = IDEMPOTENT; }
  rpc List(Count) returns (stream Item);
  rpc Sum(stream Item) returns (Count);
  rpc Echo(stream Item) returns (stream Item);
}
service Other { rpc Nothing(Empty) returns (Empty); }
`

interface Item {
  name?: string
  price?: string
  kind?: string
  image?: Uint8Array
}
interface Count {
  items?: number
  price?: string
}

/** For the compiler: what the functions take and give. */
const _types = {
  Add: call<Item, Count>(),
  List: stream<Count, Item>(),
  Sum: upload<Item, Count>(),
  Echo: duplex<Item, Item>(),
}
type Cart = typeof _types

function file(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), `millrace-proto-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'cart.proto')
  writeFileSync(path, text)
  return path
}

const handlers: Handlers<Contract<Cart>> = {
  Add: ({ name = '', price = '' }) => ({ items: name.length, price }),
  async *List({ items = 0 }) {
    for (let n = 0; n < items; n++) yield await Promise.resolve({ name: String(n), kind: 'DEAR' })
  },
  async Sum(items) {
    let sum = 0n
    let count = 0
    for await (const { price = '0' } of items) {
      sum += BigInt(price)
      count++
    }
    return { items: count, price: String(sum) }
  },
  async *Echo(items) {
    for await (const item of items) yield item
  },
}

const large = '9007199254740993'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const got: T[] = []
  for await (const item of items) got.push(item)
  return got
}

interface CartClient {
  close(): void
  Add(item: Item, answered: (error: Error | null, count: Count) => void): void
  List(count: Count): Readable
  Sum(answered: (error: Error | null, count: Count) => void): Writable
  Echo(): Duplex
}

interface Grpc {
  readonly credentials: { createInsecure(): object }
  readonly loadPackageDefinition: (definition: object) => {
    readonly shop: { readonly v1: { readonly Cart: new (at: string, by: object) => CartClient } }
  }
}

test('a client made of the .proto calls what is served by it, of every kind', async (t) => {
  const path = file(t)
  const cart = protoService<Cart>(path, 'shop.v1.Cart')
  t.deepEqual(
    cart.plans.map(({ name, kind, idempotent }) => [name, kind, idempotent]),
    [
      ['Add', 'call', true],
      ['Echo', 'duplex', false],
      ['List', 'stream', false],
      ['Sum', 'upload', false],
    ],
  )
  const server = await serve('grpc://127.0.0.1:0/shop.v1.Cart', cart, handlers)
  t.teardown(() => server[Symbol.asyncDispose]())
  const load = createRequire(import.meta.url)
  const grpc = load('@grpc/grpc-js') as Grpc
  const { loadSync } = load('@grpc/proto-loader') as {
    loadSync: (path: string, o: object) => object
  }
  const definition = loadSync(path, { longs: String, enums: String, defaults: true })
  const { Cart } = grpc.loadPackageDefinition(definition).shop.v1
  const client = new Cart(
    /127\.0\.0\.1:\d+/.exec(server.name)![0],
    grpc.credentials.createInsecure(),
  )
  t.teardown(() => {
    client.close()
  })
  const added = await new Promise((resolve, reject) => {
    client.Add({ name: 'tea', price: large }, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
  t.deepEqual(added, { items: 3, price: large })
  const listed = await all<Item>(client.List({ items: 2 }))
  t.deepEqual(
    listed.map(({ name, kind }) => [name, kind]),
    [
      ['0', 'DEAR'],
      ['1', 'DEAR'],
    ],
  )
  const summed = await new Promise((resolve, reject) => {
    const items = client.Sum((error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
    items.write({ price: '1' })
    items.end({ price: large })
  })
  t.deepEqual(summed, { items: 2, price: '9007199254740994' })
  const echo = client.Echo()
  echo.write({ name: 'a', image: Buffer.from('b') })
  echo.end()
  const [back] = await all<Item>(echo)
  t.deepEqual([back!.name, Buffer.from(back!.image!).toString()], ['a', 'b'])
})

test('it is a contract as any other: between programs of this package, and in memory', async (t) => {
  const cart = protoService<Cart>(file(t), 'shop.v1.Cart')
  for (const address of ['grpc://127.0.0.1:0/shop.v1.Cart', uniqueName(t)]) {
    await using server = await serve(address, cart, handlers)
    const client = await connect(server.name, cart)
    t.teardown(() => {
      client.close()
    })
    t.deepEqual(await client.Add({ name: 'tea', price: large }), { items: 3, price: large })
    t.is((await all(client.List({ items: 3 }))).length, 3)
    t.deepEqual(await client.Sum([{ price: '1' }]), { items: 1, price: '1' })
    await t.throwsAsync(client.Add('tea' as Item), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /an object with its fields/,
    })
  }
})

test('what is not there is refused, with what is', (t) => {
  const path = file(t)
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  t.throws(() => protoService(path, 'shop.v1.Basket'), {
    ...invalid,
    message: /there is shop\.v1\.Cart, shop\.v1\.Other/,
  })
  t.throws(() => protoService(path, 'shop.v1.Item'), invalid)
  t.throws(() => protoService(`${path}s`, 'shop.v1.Cart'), { ...invalid, message: /ENOENT/ })
  t.throws(() => protoService(path, 7 as never), { ...invalid, message: /not 7/ })
  writeFileSync(path, 'nothing like it')
  t.throws(() => protoService(path, 'shop.v1.Cart'), { ...invalid, message: /could not be read/ })
})
