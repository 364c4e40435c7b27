// Contexts of node:vm, in which some test runners run tests: before Node 24 they have no Symbol.dispose, and what translates
// `using` looks for Symbol.for('Symbol.dispose') there.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import vm from 'node:vm'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { uniqueName } from '../support/names.js'

const require = createRequire(import.meta.url)
const entries = [
  'millrace',
  'millrace/dashboard',
  'millrace/resilience',
  'millrace/rpc',
  'millrace/streams',
  'millrace/sync',
  'millrace/telemetry',
  'millrace/struct',
  'millrace/topics',
  'millrace/work',
].map((entry) => require.resolve(entry))

/** One without Symbol.dispose, on every Node. */
function context(): vm.Context {
  const made = vm.createContext({ process, Buffer, URL, AbortSignal, console })
  vm.runInContext('delete Symbol.dispose; delete Symbol.asyncDispose', made)
  return made
}

/** What `using` is translated to asks an object, within a context: does it have a method for the end of the block? */
function asks(where: vm.Context, which: 'dispose' | 'asyncDispose') {
  const code = `(object) => object[Symbol.${which} ?? Symbol.for('Symbol.${which}')]`
  return vm.runInContext(code, where) as (object: unknown) => (() => unknown) | undefined
}

/** The names that the prototypes of a class have, up to that of Object. */
function names(prototype: object | null): PropertyKey[] {
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return []
  return [...Reflect.ownKeys(prototype), ...names(Object.getPrototypeOf(prototype) as object)]
}

function classesOf(load: (file: string) => object): (readonly [string, object])[] {
  return entries
    .flatMap((file) => Object.entries(load(file)))
    .filter(([, exported]) => typeof exported === 'function' && /^class\b/.test(String(exported)))
    .map(([name, exported]) => [name, (exported as { prototype: object }).prototype])
}

/** As require, with the code of the library evaluated in a context. */
function loadInto(where: vm.Context): (file: string) => object {
  const loaded = new Map<string, { exports: object }>()
  return function load(file) {
    const known = loaded.get(file)
    if (known !== undefined) return known.exports
    const module = { exports: {} }
    loaded.set(file, module)
    const code = `(function (module, require, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`
    const run = vm.runInContext(code, where, { filename: file }) as (...all: unknown[]) => void
    const own = createRequire(file)
    const requires = (name: string): unknown =>
      name.startsWith('./') ? load(own.resolve(name)) : own(name)
    run(module, requires, file, dirname(file))
    return module.exports
  }
}

test('what `using` takes here it takes in a context without Symbol.dispose, too', (t) => {
  const ask = asks(context(), 'dispose')
  let disposable = 0
  for (const [name, prototype] of classesOf((file) => require(file) as object)) {
    if (!(Symbol.dispose in prototype)) continue
    disposable++
    t.is(ask(prototype), (prototype as Disposable)[Symbol.dispose], name)
  }
  t.true(disposable > 15, 'it has looked at all')
})

test('and `await using` an iteration', async (t) => {
  using consumer = SpscQueue.consumer(uniqueName(t))
  const messages = consumer.messages()
  const pending = messages.next()
  await asks(context(), 'asyncDispose')(messages)!.call(messages)
  t.like(await pending, { done: true })
})

test('the library itself can be loaded in such a context', async (t) => {
  const where = context()
  const load = loadInto(where)
  for (const [name, prototype] of classesOf(load)) {
    t.false(
      names(prototype).includes('undefined'),
      `${name} has a method that is called 'undefined'`,
    )
  }
  const { SpscQueue: There } = load(entries[0]!) as typeof import('millrace')
  const consumer = There.consumer(uniqueName(t))
  const messages = consumer.messages()
  await asks(where, 'asyncDispose')(messages)!.call(messages)
  t.like(await messages.next(), { done: true })
  asks(where, 'dispose')(consumer)!.call(consumer)
  t.true(consumer.closed)
})
