// shared-memory-disruptor by its synchronous calls, spinning: messages one way, or round trips over two of them. Its
// elements have one size; a number of -1 marks the last message.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { SharedMemory } from 'millrace'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { spinningTrips, stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { peer, type SharedMemoryDisruptor } from '../side/peer.js'

const { Disruptor } = peer('shared-memory-disruptor') as SharedMemoryDisruptor
const elements = 4096

function open({ name, bytes }: Parameters, way: string, consumer: number, init: boolean) {
  const path = `/${name}.${way}`
  return new Disruptor(path, elements, bytes, 1, consumer, init, true)
}

type Opened = ReturnType<typeof open>

function put(disruptor: Opened, write: (element: Buffer) => void): void {
  write(disruptor.produceClaimSync())
  disruptor.produceCommitSync()
}

/** All that have come; a piece may hold several. */
function take(disruptor: Opened, bytes: number, read: (piece: Buffer, at: number) => void): void {
  for (const piece of disruptor.consumeNewSync()) {
    for (let at = 0; at < piece.length; at += bytes) read(piece, at)
  }
  disruptor.consumeCommit()
}

const markEnd = (element: Buffer) => element.writeInt32LE(-1)

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes, wait } = parameters
  const there = open(parameters, 'there', -1, true)
  const back = open(parameters, 'back', 0, true)
  const content = new Content(parameters)
  const ready = once(follower, 'message')
  follower.send('go')
  await ready
  let measured: Measured
  if (wait === 'spin') {
    measured = spinningTrips(parameters, follower.pid!, (from, to) => {
      for (let i = from; i < to; i++) {
        put(there, (element) => content.write(element, i))
        take(back, bytes, (piece, at) => content.read(piece, i, at, bytes))
      }
    })
  } else {
    measured = await stream(
      parameters,
      follower.pid!,
      (from, to) => {
        for (let i = from; i < to; i++) put(there, (element) => content.write(element, i))
      },
      // Nobody tells: the ring's elements are what may be missing.
      () => undefined,
    )
  }
  put(there, markEnd)
  if (follower.exitCode === null) await once(follower, 'exit')
  there.release()
  back.release()
  // It leaves its memory behind.
  for (const way of ['there', 'back']) SharedMemory.unlink(`${parameters.name}.${way}`)
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, wait } = parameters
  await once(process, 'message')
  const there = open(parameters, 'there', 0, false)
  const back = open(parameters, 'back', -1, false)
  const content = new Content(parameters)
  await new Promise((resolve) => process.send?.('ready', resolve))
  const state = { sequence: 0, ended: false }
  const answer = (piece: Buffer, at: number) => {
    if (piece.readInt32LE(at) === -1) {
      state.ended = true
      return
    }
    content.read(piece, state.sequence++, at, bytes)
    if (wait === 'spin') put(back, (element) => piece.copy(element, 0, at, at + bytes))
  }
  while (!state.ended) take(there, bytes, answer)
  there.release()
  back.release()
}
