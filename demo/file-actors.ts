// The two ends of a file transfer.

import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from 'millrace'
import type { FileTask, Outcome, PacedFileTask } from './roles.js'
import type { Stage } from './stage.js'
import { chunkBytes, openChunkInlet, openChunkOutlet } from './transports.js'

export async function sendFile(task: FileTask, stage: Stage): Promise<Outcome> {
  await using file = await open(task.file)
  const outlet = stage.keep(await openChunkOutlet(task))
  const hash = task.hash ? createHash('sha256') : undefined
  const at = Number(monotonicNow())
  let messages = 0
  for (let round = 0; round < task.rounds; round++) {
    for (let offset = 0; offset < task.size; offset += chunkBytes) {
      const length = Math.min(chunkBytes, task.size - offset)
      const room = await outlet.room(length)
      const bytes = room.bytes.subarray(0, length)
      if (task.transport === 'millrace') fillNow(bytes, file, offset)
      else await fill(bytes, file, offset)
      hash?.update(bytes)
      room.send(length)
      messages++
    }
  }
  await outlet.finish()
  return {
    at,
    messages,
    bytes: task.size * task.rounds,
    ...(hash && { sha256: hash.digest('hex') }),
    latenciesNs: [],
  }
}

export async function receiveFile(task: FileTask, stage: Stage): Promise<Outcome> {
  const inlet = stage.keep(await openChunkInlet(task))
  const hash = task.hash ? createHash('sha256') : undefined
  // A socket has put the bytes into memory of our own already.
  const own = task.transport === 'millrace' && !task.hash ? Buffer.alloc(chunkBytes) : undefined
  let messages = 0
  let bytes = 0
  await inlet.receive((chunk) => {
    hash?.update(chunk)
    own?.set(chunk)
    messages++
    bytes += chunk.length
    stage.progress(bytes)
  })
  const at = Number(monotonicNow())
  inlet.close()
  return { at, messages, bytes, ...(hash && { sha256: hash.digest('hex') }), latenciesNs: [] }
}

export async function sendPaced(task: PacedFileTask, stage: Stage): Promise<Outcome> {
  await using file = await open(task.file)
  const chunk = Buffer.alloc(task.chunkBytes)
  await fill(chunk, file, 0)
  const outlet = stage.keep(await openChunkOutlet(task))
  const at = Number(monotonicNow())
  for (let i = 0; i < task.chunks; i++) {
    const room = await outlet.room(chunk.length)
    room.bytes.set(chunk)
    room.send(chunk.length)
    await pause(task.everyMs)
  }
  await outlet.finish()
  return { at, messages: task.chunks, bytes: task.chunks * chunk.length, latenciesNs: [] }
}

export async function receivePaced(task: PacedFileTask, stage: Stage): Promise<Outcome> {
  const inlet = stage.keep(await openChunkInlet(task))
  const latenciesNs: number[] = []
  let bytes = 0
  await inlet.receive((chunk, _number, latencyNs) => {
    latenciesNs.push(latencyNs)
    bytes += chunk.length
    stage.progress(bytes)
  })
  const at = Number(monotonicNow())
  inlet.close()
  return { at, messages: latenciesNs.length, bytes, latenciesNs }
}

/** In the background: a socket goes on writing meanwhile. */
async function fill(target: Uint8Array, file: FileHandle, offset: number): Promise<void> {
  let filled = 0
  while (filled < target.length) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, offset + filled)
    if (bytesRead === 0) throw shorter()
    filled += bytesRead
  }
}

/** At once: a thread of the pool and back would take as long as copying from the page cache. */
function fillNow(target: Uint8Array, file: FileHandle, offset: number): void {
  let filled = 0
  while (filled < target.length) {
    const bytesRead = readSync(file.fd, target, filled, target.length - filled, offset + filled)
    if (bytesRead === 0) throw shorter()
    filled += bytesRead
  }
}

const shorter = () => new Error('the file became shorter while it was being sent')
