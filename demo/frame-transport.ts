// Frames through a frame channel, drawn and read where they lie in shared memory.

import { setTimeout as pause } from 'node:timers/promises'
import { FrameReader, FrameWriter, monotonicNow } from 'millrace'
import type { Inlet, Outlet, Room } from './transport.js'

const openTimeout = 30_000

export async function openFrameOutlet(
  name: string,
  options: { readonly slotBytes: number; readonly slots: number; readonly readers: number },
): Promise<Outlet> {
  const { slotBytes, slots, readers } = options
  const writer = FrameWriter.create(name, { slotBytes, slots })
  await writer.waitForReaders(readers)
  return {
    async room(): Promise<Room> {
      const loan = await writer.loan()
      return {
        bytes: loan.bytes,
        send(byteLength) {
          loan.publish({ byteLength })
        },
      }
    },
    finish() {
      writer.close()
      return Promise.resolve()
    },
    close() {
      writer.close()
    },
  }
}

/** Every frame, the writer waiting if need be. */
export async function openEveryFrame(name: string): Promise<Inlet> {
  const reader = await FrameReader.open(name, { policy: 'wait', timeout: openTimeout })
  return {
    async receive(take) {
      for await (using frame of reader) {
        take(frame.bytes, frame.sequence, Number(monotonicNow() - frame.timestamp))
      }
    },
    close() {
      reader.close()
    },
  }
}

/** The newest frame every `everyMs`; the writer never waits for this reader. */
export async function openNewestFrame(name: string, everyMs: number): Promise<Inlet> {
  const reader = await FrameReader.open(name, {
    policy: 'overwrite-oldest',
    depth: 1,
    timeout: openTimeout,
  })
  return {
    async receive(take) {
      for (;;) {
        using frame = await reader.receiveLatest()
        if (frame === undefined) return
        take(frame.bytes, frame.sequence, Number(monotonicNow() - frame.timestamp))
        frame.release()
        await pause(everyMs)
      }
    },
    close() {
      reader.close()
    },
  }
}
