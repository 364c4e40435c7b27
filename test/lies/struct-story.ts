// Structures over bytes that mean nothing: whatever lies in memory, reading and writing through a view ends
// with a value or a MillraceError, and touches nothing outside the structure.
//
// Not coverage-guided: the space is the definitions, and fast-check's arbitrary ones, which the tests of
// structures use as well, cover it evenly. As a program (`npm run fuzz -- --only struct`):
// struct-story.js SECONDS [SEED].

import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { MillraceError } from 'millrace'
import type { Fields, Struct } from 'millrace/struct'
import { define, descriptions, values } from '../support/definitions.js'
import { Random } from '../support/random.js'

const margin = 16

/** Throws if it finds something; the error says how to repeat it. */
export function tellOfStructures(limits: {
  readonly seconds: number
  readonly seed: number
}): number {
  let runs = 0
  const story = fc
    .tuple(descriptions(fc.constantFrom('little', 'big')), fc.nat({ max: 7 }))
    .chain(([description, shift]) =>
      fc.record({
        description: fc.constant(description),
        shift: fc.constant(shift),
        seed: fc.nat(),
        written: values(description),
      }),
    )
  const property = fc.property(story, ({ description, shift, seed, written }) => {
    const definition = define(description)
    // Definitions are dear, images cheap.
    for (let i = 0; i < 50; i++) judge(definition, shift, image(definition.size, seed + i), written)
    runs += 50
  })
  const end = performance.now() + limits.seconds * 1000
  for (let { seed } = limits; performance.now() < end; seed++) {
    fc.assert(property, { seed, numRuns: 10 })
  }
  return runs
}

/** Bytes that mean nothing; often all alike. */
function image(size: number, seed: number): Uint8Array {
  if (seed % 8 === 0) return new Uint8Array(size).fill(seed >> 3)
  const random = new Random(seed)
  return Uint8Array.from({ length: size }, () => random.below(256))
}

function judge(
  definition: Struct<Fields>,
  shift: number,
  image: Uint8Array,
  written: unknown,
): void {
  const at = definition.align === 1 ? margin + shift : margin
  const memory = new Uint8Array(at + definition.size + margin).fill(0xa5)
  memory.set(image, at)
  typed(() => {
    const view = definition.view(memory, at)
    // What was read can be written, or is refused: NaN is a number, half a character is not text.
    const value = definition.read(view)
    typed(() => {
      definition.set(view, value)
    })
    definition.set(view, written as never)
    definition.read(view)
    typed(() => {
      definition.move(view, memory, at + definition.size)
    })
  })
  typed(() => definition.view(memory.subarray(0, definition.size - 1)))
  for (let i = 0; i < at; i++) if (memory[i] !== 0xa5) throw new Error(`byte ${i} was written`)
  for (let i = at + definition.size; i < memory.length; i++)
    if (memory[i] !== 0xa5) throw new Error(`byte ${i} was written`)
}

function typed(act: () => unknown): void {
  try {
    act()
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , seconds = '10', seed = String(Date.now() % 1_000_000)] = process.argv
  const runs = tellOfStructures({ seconds: Number(seconds), seed: Number(seed) })
  console.log(`seed ${seed}\nstat::number_of_executed_units: ${runs}`)
}
