// Batches whose messages lie one after the other in memory of the caller's.

import { checkView } from '../base/bytes.js'
import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** How many messages, and the lengths of the shortest and the longest of them. */
export interface Packing {
  readonly count: number
  readonly shortest: number
  readonly longest: number
}

/** Judges what describes a batch: one length for all messages, or that of each. */
export function readPacking(bytes: unknown, lengths: unknown, count: unknown): Packing {
  checkView(bytes, 'bytes')
  const { byteLength } = bytes
  if (typeof lengths === 'number') return ofOneLength(byteLength, lengths, count)
  if (!(lengths instanceof Uint32Array)) {
    throw invalidArgument(
      `lengths must be the bytes of each message, a number or a Uint32Array, not ${show(lengths)}`,
    )
  }
  checkView(lengths, 'lengths')
  const all = checkCount(count ?? lengths.length)
  if (all > lengths.length) {
    throw invalidArgument(
      `count is ${String(all)}, and lengths has ${String(lengths.length)} entries`,
    )
  }
  let sum = 0
  let shortest = all === 0 ? 0 : Infinity
  let longest = 0
  for (let i = 0; i < all; i++) {
    const length = lengths[i]!
    sum += length
    if (length > longest) longest = length
    if (length < shortest) shortest = length
  }
  checkSum(sum, byteLength)
  return { count: all, shortest, longest }
}

function ofOneLength(byteLength: number, length: number, count: unknown): Packing {
  if (!Number.isSafeInteger(length) || length < 1) {
    throw invalidArgument(`lengths must be a whole number of bytes from 1 on, not ${show(length)}`)
  }
  const all = checkCount(count ?? Math.floor(byteLength / length))
  checkSum(all * length, byteLength)
  return { count: all, shortest: length, longest: length }
}

/** Judges where a batch is to go. */
export function checkTargets(target: unknown, lengths: unknown): void {
  checkView(target, 'the target')
  if (!(lengths instanceof Uint32Array)) {
    throw invalidArgument(
      `lengths must be a Uint32Array that takes the bytes of each message, not ${show(lengths)}`,
    )
  }
  checkView(lengths, 'lengths')
}

function checkCount(count: unknown): number {
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) {
    throw invalidArgument(`count must be a whole number of messages, not ${show(count)}`)
  }
  return count
}

function checkSum(sum: number, byteLength: number): void {
  if (sum > byteLength) {
    throw invalidArgument(
      `the messages have ${String(sum)} bytes together, and bytes has ${String(byteLength)}`,
    )
  }
}
