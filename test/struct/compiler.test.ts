// The layout is the C compiler's: it is asked. And a structure crosses between TypeScript and C in shared
// memory, both ways.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { SharedMemory } from 'millrace'
import {
  array,
  bool,
  bytes,
  char,
  f32,
  f64,
  i64,
  struct,
  u16,
  u32,
  u64,
  u8,
  type Fields,
  type Struct,
} from 'millrace/struct'

import { define, descriptions } from '../support/definitions.js'
import { objectsOf, uniqueName } from '../support/names.js'

const strict = ['-Wall', '-Wextra', '-Werror', '-pedantic', '-O1']

function workplace(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-test-struct-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** Compiles a C program and returns how to run it. */
function program(t: ExecutionContext, source: string, headers: Record<string, string>) {
  const directory = workplace(t)
  for (const [name, text] of Object.entries(headers)) writeFileSync(join(directory, name), text)
  const file = join(directory, 'program.c')
  writeFileSync(file, source)
  const binary = join(directory, 'program')
  execFileSync('cc', ['-std=c11', '-D_GNU_SOURCE', ...strict, file, '-o', binary, '-lrt'])
  return (...args: string[]) => execFileSync(binary, args, { encoding: 'utf8' })
}

/** Compiles text as C++ without running it. */
function compilesAsCpp(t: ExecutionContext, text: string) {
  const file = join(workplace(t), 'header.cpp')
  writeFileSync(file, text)
  execFileSync('c++', ['-std=c++20', '-fsyntax-only', ...strict, file])
}

function printLayout({ name, fields }: Struct<Fields>): string {
  const own = `struct ${name}`
  const numbers = [
    `sizeof(${own})`,
    `_Alignof(${own})`,
    ...fields.map((field) => `offsetof(${own}, ${field.name})`),
    ...fields.map((field) => `sizeof(((${own} *)0)->${field.name})`),
  ]
  return `  printf("${numbers.map(() => '%zu').join(' ')}\\n", ${numbers.join(', ')});`
}

test('every definition has the offsets and sizes that the C compiler gives it', (t) => {
  const seed = Date.now() & 0x7fff_ffff
  const definitions = fc
    .sample(descriptions(fc.constantFrom('little', 'big')), { numRuns: 400, seed })
    .map((description, index) => define(description, `S${index}`))
  const headers = definitions.map((definition) => definition.toCHeader())
  const run = program(
    t,
    `#include <stdio.h>
#include "all.h"
int main(void) {
${definitions.map(printLayout).join('\n')}
  return 0;
}
`,
    { 'all.h': headers.join('\n') },
  )
  const lines = run().trimEnd().split('\n')
  definitions.forEach(({ size, align, fields, name }, index) => {
    const expected = [
      size,
      align,
      ...fields.map((field) => field.offset),
      ...fields.map((field) => field.size),
    ]
    t.is(lines[index], expected.join(' '), `seed ${seed}, ${name}: ${headers[index]}`)
  })
  t.is(lines.length, definitions.length)
  t.notThrows(() => compilesAsCpp(t, headers.join('\n')), `seed ${seed}`)
})

const Point = struct({ x: f32, y: f32 }, { name: 'Point' })
const Trade = struct(
  {
    price: f64,
    size: u32,
    side: u8,
    symbol: char(8),
    levels: array(f64, 10),
    at: Point,
    path: array(Point, 2),
    inner: array(struct({ count: u16, total: i64 }, { packed: true }), 2),
    id: u64,
    live: bool,
    raw: bytes(3),
  },
  { name: 'Trade' },
)

const trade = {
  price: -0.1,
  size: 4_000_000_000,
  side: 7,
  symbol: 'MÜ-€',
  levels: [1, 2, 3, 4, 5, 6, 7, 8, 9, 1e300],
  at: { x: 0.5, y: -0.25 },
  path: [
    { x: 1, y: 2 },
    { x: 3, y: 4 },
  ],
  inner: [
    { count: 65535, total: -(2n ** 63n) },
    { count: 1, total: 2n },
  ],
  id: 2n ** 64n - 1n,
  live: true,
  raw: Uint8Array.of(1, 2, 3),
}

// Reads and changes the structure at /NAME, or ("make") creates it.
const peer = `#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "trade.h"
int main(int argc, char **argv) {
  const int make = argc > 2;
  const int fd = shm_open(argv[1], make ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
  if (fd < 0 || (make && ftruncate(fd, 2 * sizeof(struct Trade)) != 0)) return 1;
  struct Trade *trades = mmap(NULL, 2 * sizeof(struct Trade), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (trades == MAP_FAILED) return 2;
  struct Trade *t = &trades[1];
  if (!make) {
    printf("%.17g %u %u %.8s %.17g %g %g %u %" PRId64 " %" PRIu64 " %d %u\\n", t->price, t->size, t->side,
           t->symbol, t->levels[9], t->at.y, t->path[1].x, t->inner[0].count, t->inner[0].total, t->id,
           t->live, t->raw[2]);
  }
  t->price = 2.5;
  t->size = 1;
  memcpy(t->symbol, "full-8ch", sizeof t->symbol);
  t->levels[3] = -1;
  t->path[0].y = 8;
  t->inner[1].total = -9;
  t->id = 3;
  t->live = false;
  t->raw[0] = 200;
  printf("%016" PRIx64 "\\n", Trade_FINGERPRINT);
  return 0;
}
`

test('what TypeScript writes C reads, and what C writes TypeScript reads', (t) => {
  const run = program(t, peer, { 'trade.h': Trade.toCHeader() })
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, 2 * Trade.size, { schema: Trade })
  Trade.write(memory.buffer, trade, Trade.size)
  const [seen, fingerprint] = run(`/${name}`).split('\n')
  t.is(
    seen,
    '-0.10000000000000001 4000000000 7 MÜ-€ 1.0000000000000001e+300 -0.25 3 65535 ' +
      '-9223372036854775808 18446744073709551615 1 3',
  )
  t.is(fingerprint, Trade.fingerprint.toString(16).padStart(16, '0'))
  const view = Trade.array(memory.buffer).at(1)
  t.deepEqual(Trade.read(view), {
    ...trade,
    price: 2.5,
    size: 1,
    symbol: 'full-8ch',
    levels: trade.levels.with(3, -1),
    path: [{ x: 1, y: 8 }, trade.path[1]!],
    inner: [trade.inner[0]!, { count: 1, total: -9n }],
    id: 3n,
    live: false,
    raw: Uint8Array.of(200, 2, 3),
  })
})

test('memory that a C program made is read in place', (t) => {
  const run = program(t, peer, { 'trade.h': Trade.toCHeader() })
  const name = uniqueName(t, { mayLeave: true }) // the C program leaves it
  run(`/${name}`, 'make')
  using memory = SharedMemory.open(name, { schema: Trade })
  t.is(memory.size, 2 * Trade.size)
  const view = Trade.view(memory.buffer, Trade.size)
  t.deepEqual([view.price, view.symbol, view.inner.at(1).total], [2.5, 'full-8ch', -9n])
  t.deepEqual(objectsOf(name), [name])
})

test('a header may be included twice, and beside another that has a structure in common', (t) => {
  const Order = struct({ from: Point, to: Point }, { name: 'Order' })
  const both = Trade.toCHeader() + Order.toCHeader() + Trade.toCHeader()
  t.is(program(t, `#include "both.h"\nint main(void) { return 0; }`, { 'both.h': both })(), '')
  t.notThrows(() => compilesAsCpp(t, both))
  const Other = struct({ p: struct({ x: f64 }, { name: 'Point' }) }, { name: 'Other' })
  t.throws(() => compilesAsCpp(t, Trade.toCHeader() + Other.toCHeader()), {
    message: /another structure is named Point/,
  })
})

test('the documented example runs, and its header is the generated one', (t) => {
  const page = readFileSync(new URL('../../../docs/struct.md', import.meta.url), 'utf8')
  const Tick = struct({ price: f64, size: u32, symbol: char(8) }, { name: 'Tick' })
  t.true(page.includes(Tick.toCHeader()))
  const name = uniqueName(t)
  const example = /```ts\n([^`]*)```/
    .exec(page)![1]!
    .replace("'ticks'", `'${name}'`)
    .replace('using memory', 'const memory') // this is run as JavaScript
  const args = ['--input-type=module', '-e', `${example}\nmemory.close()`]
  const printed = execFileSync(process.execPath, args, { encoding: 'utf8' })
  t.is(printed, "101.5 { price: 101.5, size: 0, symbol: 'ACME' }\n")
})
