// Records of eight doubles one way over a RecordQueue: all of them are written where they are read, both sides spinning when
// the ring is full or empty. A message of two records is the last.

import type { ChildProcess } from 'node:child_process'

import { RecordQueue } from 'millrace'
import { f64, struct, type StructArray } from 'millrace/struct'

import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { leaveAlone } from '../side/patience.js'

const fields = { a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64 }
const Eight = struct(fields, { name: 'Eight' })
type Records = StructArray<typeof fields>

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, capacity, batch = 64 } = parameters
  const producer = RecordQueue.producer(name, { record: Eight, capacity })
  await producer.waitForPeer()
  const send = (from: number, to: number) => {
    for (let i = from; i < to;) {
      const room = producer.claim(Math.min(batch, to - i))
      write(producer.records, i)
      if (room > 0) producer.commit(room)
      i += room
    }
  }
  const measured = await stream(parameters, pid!, send, () => {
    while (producer.freeBytes < producer.capacity);
  })
  await producer.push(new Uint8Array(2 * Eight.size))
  await producer.end()
  return measured
}

function write(records: Records, from: number): void {
  for (let i = 0; i < records.length; i++) {
    const record = records.at(i)
    const number = from + i
    record.a = number
    record.b = number + 0.5
    record.c = number + 1
    record.d = number + 1.5
    record.e = number + 2
    record.f = number + 2.5
    record.g = number + 3
    record.h = number + 3.5
  }
}

export function follow(parameters: Parameters): void {
  const { name, capacity } = parameters
  const consumer = RecordQueue.consumer(name, { record: Eight, capacity })
  const state = { sequence: 0, ended: false }
  const read = (records: Records) => {
    if (sumOf(records) === expectedSum(state.sequence, records.length)) {
      state.sequence += records.length
    } else if (records.length === 2 && records.at(0).h === 0) {
      state.ended = true
    } else {
      throw new Error(
        `a record behind number ${String(state.sequence)} is not the one that was sent`,
      )
    }
  }
  while (!state.ended) {
    if (consumer.drain(read, Infinity) === 0) leaveAlone(consumer.capacity)
  }
  consumer.close()
}

function sumOf(records: Records): number {
  let sum = 0
  for (let i = 0; i < records.length; i++) {
    const record = records.at(i)
    sum += record.a + record.b + record.c + record.d + record.e + record.f + record.g + record.h
  }
  return sum
}

/** Of the doubles of `count` records from that number on: exact, as all are halves far below 2^53. */
function expectedSum(from: number, count: number): number {
  return 8 * (from * count + (count * (count - 1)) / 2) + 14 * count
}
