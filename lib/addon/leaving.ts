// Which handles are open in this thread, so that all of them can be told when the process leaves everything at its exit.
// They are known weakly: a handle that the program forgot is collected as ever.

interface Known {
  readonly handle: WeakRef<object>
  readonly leave: (handle: never) => void
}

const open = new Map<WeakRef<object>, Known>()
const collected = new FinalizationRegistry<WeakRef<object>>((handle) => {
  open.delete(handle)
})

/**
 * Calls `leave` with the handle when the process has left everything; until the function that is returned is called.
 * `leave` must not be made where there is a reference to the handle, as in its constructor: the scope would keep the handle.
 */
export function onLeaving<T extends object>(handle: T, leave: (handle: T) => void): () => void {
  const known = new WeakRef<object>(handle)
  open.set(known, { handle: known, leave })
  collected.register(handle, known, known)
  return () => {
    open.delete(known)
    collected.unregister(known)
  }
}

/** What a handle may have to do while it still has everything. */
export const leaving = Symbol('leaving')

/** For handles that need only be closed. */
export function closeIt(handle: { close(): void }): void {
  handle.close()
}

/** Calls what handles have under `leaving`, before anything is closed. */
export function tellThatWeAreLeaving(): void {
  tellAll((handle) => (handle as { [leaving]?: () => void })[leaving]?.())
}

/** Tells all handles, when what is beneath them is closed. */
export function tellThatWeLeft(): void {
  tellAll((handle, { leave }) => {
    leave(handle as never)
  })
  open.clear()
}

function tellAll(tell: (handle: object, known: Known) => void): void {
  for (const known of [...open.values()]) {
    const handle = known.handle.deref()
    if (handle === undefined) continue
    try {
      tell(handle, known)
    } catch {
      // The others are to be told as well.
    }
  }
}
