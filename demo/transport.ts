// What a job needs of a transport, so that the same code runs over shared memory and over a socket.
//
// A stamp of 8 bytes goes with every message: when it was published, in nanoseconds of the monotonic
// clock, which is the same for all processes.

/** Room for a message: fill `bytes`, then send. */
export interface Room {
  readonly bytes: Uint8Array
  /** Sends the first `length` bytes, stamped with the time of this call. */
  send(length: number): void
}

export interface Outlet {
  /** Resolves when there is room for a message of `length` bytes. */
  room(length: number): Promise<Room>
  /** Resolves when everything is sent; the receivers see the end. */
  finish(): Promise<void>
  /** Leaves at once. */
  close(): void
}

/**
 * A message, how many were sent up to and with it, and how long ago it was published. `bytes` may be
 * overwritten as soon as the call returns.
 */
export type Take = (bytes: Uint8Array, number: number, latencyNs: number) => void

export interface Inlet {
  /** Passes every message to `take` until the sender has finished. */
  receive(take: Take): Promise<void>
  /** Leaves at once. */
  close(): void
}
