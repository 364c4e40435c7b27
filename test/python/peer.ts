// The Python side of these tests, and what messages hold.

import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { runProgram } from '../support/cxx.js'
import type { Run } from '../support/process.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** A busy machine starts Python in seconds. */
export const patience = 60_000

/** Runs a role of fixtures/peer.py. */
export function python(
  t: ExecutionContext,
  role: string,
  ...args: readonly (string | number)[]
): Run {
  const program = join(root, 'test/python/fixtures/peer.py')
  return runProgram(t, process.env['PYTHON'] ?? 'python3', [program, role, ...args.map(String)])
}

/** Message `number`: its number, and bytes that follow from it. */
export function content(number: number): Buffer {
  const message = Buffer.alloc(8 + ((number * 7) % 3000), number % 251)
  message.writeBigUInt64LE(BigInt(number))
  return message
}

/** The number of a message; throws if it is not whole. */
export function numberOf(message: Buffer): number {
  const number = Number(message.readBigUInt64LE())
  if (!message.equals(content(number))) throw new Error(`message ${number} is not whole`)
  return number
}

/** The numbers that it has printed so far. */
export const numbersOf = (run: Run): number[] =>
  run.lines.filter((line) => /^\d+$/.test(line)).map(Number)

export const upTo = (count: number, first = 0): number[] =>
  Array.from({ length: count }, (_, i) => first + i)
