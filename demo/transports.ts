// Chooses the implementation of a transport by its name.

import { openEveryFrame, openFrameOutlet, openNewestFrame } from './frame-transport.js'
import { frameBytes } from './test-card.js'
import { openQueueInlet, openQueueOutlet } from './queue-transport.js'
import type { Task } from './roles.js'
import { openSocketInlet, openSocketOutlet } from './socket-transport.js'
import type { Inlet, Outlet } from './transport.js'

/** Both transports get the same pieces and about the same number of them in flight: what comes in some three milliseconds. */
export const chunkBytes = 256 * 1024
const ringBytes = 8 * 1024 * 1024
const chunksInFlight = ringBytes / chunkBytes
const framesInFlight = 8
const frameReaders = 2

/** How often the viewer looks: a display at 30 Hz. */
export const viewEveryMs = 33

export function openChunkOutlet({ transport, address }: Task): Promise<Outlet> {
  if (transport === 'millrace') return openQueueOutlet(address, ringBytes)
  return openSocketOutlet(address, {
    messageBytes: chunkBytes,
    buffers: chunksInFlight,
    receivers: 1,
  })
}

export function openChunkInlet({ transport, address }: Task): Inlet | Promise<Inlet> {
  if (transport === 'millrace') return openQueueInlet(address, ringBytes)
  return openSocketInlet(address, chunkBytes)
}

export function openPictureOutlet({ transport, address }: Task): Promise<Outlet> {
  if (transport === 'millrace') {
    return openFrameOutlet(address, {
      slotBytes: frameBytes,
      slots: framesInFlight,
      readers: frameReaders,
    })
  }
  return openSocketOutlet(address, {
    messageBytes: frameBytes,
    buffers: framesInFlight,
    receivers: frameReaders,
  })
}

export function openPictureInlet(task: Task, wanted: 'every' | 'newest'): Promise<Inlet> {
  const { transport, address } = task
  if (transport === 'socket') return openSocketInlet(address, frameBytes)
  return wanted === 'every' ? openEveryFrame(address) : openNewestFrame(address, viewEveryMs)
}
