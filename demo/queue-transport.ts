// Messages through an SpscQueue, written and read where they lie in shared memory.

import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow, SpscQueue } from 'millrace'
import type { Inlet, Outlet, Room, Take } from './transport.js'

const stampBytes = 8
/**
 * A receiver that slept after every message of a stream would be woken for each, and kernels like to put whoever is woken
 * on the processor of the waker: there the two take turns, while another processor has nothing to do. A timer wakes a
 * sleeper where it was, and the ring has room for all that comes meanwhile.
 */
const gatherMs = 1

export async function openQueueOutlet(name: string, capacity: number): Promise<Outlet> {
  const producer = SpscQueue.producer(name, { capacity })
  await producer.waitForPeer()
  return {
    async room(length): Promise<Room> {
      const reservation = await producer.reserveWhenFree(stampBytes + length)
      return {
        bytes: reservation.bytes.subarray(stampBytes),
        send(used) {
          const { buffer, byteOffset } = reservation.bytes
          new DataView(buffer, byteOffset).setBigUint64(0, monotonicNow())
          reservation.commit(stampBytes + used)
        },
      }
    },
    finish: () => producer.end(),
    close() {
      producer.close({ discard: true })
    },
  }
}

export function openQueueInlet(name: string, capacity: number): Inlet {
  const consumer = SpscQueue.consumer(name, { capacity })
  return {
    async receive(take: Take) {
      let number = 0
      while (await consumer.readable()) {
        consumer.drain((message) => {
          const stamp = new DataView(message.buffer, message.byteOffset).getBigUint64(0)
          take(message.subarray(stampBytes), ++number, Number(monotonicNow() - stamp))
        })
        if (consumer.nextLength < 0) await pause(gatherMs)
      }
    },
    close() {
      consumer.close({ discard: true })
    },
  }
}
