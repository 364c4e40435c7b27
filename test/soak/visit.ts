// A short visit: opens what others hold, and waits there until it is killed or told to leave.

import { FrameReader } from 'millrace'
import { Mutex } from 'millrace/sync'

import { patience } from './load.js'

export interface Names {
  readonly f: string
  readonly x: string
}

/** Two handles of a mutex, one of which waits for the other; a reader that waits for the next frame. */
export async function openAndWait(names: Names): Promise<{ leave: () => void }> {
  const reader = await FrameReader.open(names.f, { policy: 'overwrite-oldest', ...patience })
  const holder = Mutex.open(names.x)
  const waiter = Mutex.open(names.x)
  const guard = holder.tryLock()
  const controller = new AbortController()
  const { signal } = controller
  const waits = [reader.receive({ signal }), waiter.lock({ signal })]
  return {
    leave() {
      controller.abort()
      void Promise.allSettled(waits).then(() => {
        guard?.release()
        holder.close()
        waiter.close()
        reader.close()
      })
    },
  }
}
