// Messages and frames in the order that musl/host.c has: `plain.mjs produce|consume NAME`. The producer is killed in the end.

import { writeSync } from 'node:fs'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { content, fold, frames, lengthOf, messages, slotBytes } from './story.mjs'

const [role, name] = process.argv.slice(2)
const patience = { timeout: 60_000 }
void (role === 'produce' ? produce() : consume())

async function produce() {
  const queue = SpscQueue.producer(name, { capacity: 32_768 })
  for (let i = 0; i < messages; i++) await queue.push(content(i, lengthOf(i)), patience)
  const writer = FrameWriter.create(name, { slotBytes, slots: 4 })
  await writer.waitForReaders(1, patience)
  for (let i = 0; i < frames; i++) {
    const frame = await writer.loan(patience)
    frame.bytes.set(content(-i, slotBytes))
    frame.publish()
  }
  await queue.push('last words', patience)
  while (queue.freeBytes < queue.capacity) await new Promise((resolve) => setTimeout(resolve, 1))
  process.kill(process.pid, 'SIGKILL')
}

async function consume() {
  const queue = SpscQueue.consumer(name, { capacity: 32_768 })
  let digest = 0
  for (let i = 0; i < messages; i++) digest = fold(digest, await queue.pop(patience))
  const reader = await FrameReader.open(name, patience)
  for (let i = 0; i < frames; i++) {
    const frame = await reader.receive(patience)
    digest = fold(digest, frame.bytes)
    frame.release()
  }
  const last = (await queue.pop(patience)).toString()
  const ending = await queue.pop(patience).catch(({ code }) => code)
  reader.close()
  queue.close()
  writeSync(1, `${JSON.stringify({ digest, last, ending })}\n`)
}
