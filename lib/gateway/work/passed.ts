// Which hosts the jobs of a queue have passed that a route of this process pushes. A job in shared memory does not say it, so a route that takes
// there in the same process asks here; another process does not know.

/** Jobs of one queue that are remembered, the newest: as many as a queue has that is not told another number, and more. */
const mostJobs = 65_536
const none: readonly string[] = []

interface Watched {
  /** Routes that take there. */
  routes: number
  readonly hops: Map<string, readonly string[]>
}

const queues = new Map<string, Watched>()

/** A route takes from that queue: from now on what comes there is remembered. */
export function watchPassed(queue: string): void {
  const watched = queues.get(queue) ?? { routes: 0, hops: new Map() }
  watched.routes++
  queues.set(queue, watched)
}

export function unwatchPassed(queue: string): void {
  const watched = queues.get(queue)
  if (watched !== undefined && --watched.routes === 0) queues.delete(queue)
}

/** A job of that id, which has passed them, is about to be pushed there. */
export function tellPassed(queue: string, id: string | undefined, hops: readonly string[]): void {
  const watched = queues.get(queue)
  if (watched === undefined || id === undefined || hops.length === 0) return
  watched.hops.delete(id)
  watched.hops.set(id, hops)
  if (watched.hops.size > mostJobs) watched.hops.delete(watched.hops.keys().next().value!)
}

export function passedOf(queue: string, id: string | undefined): readonly string[] {
  return (id === undefined ? undefined : queues.get(queue)?.hops.get(id)) ?? none
}
