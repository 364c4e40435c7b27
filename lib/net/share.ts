// What a process has of something that it shares with others by an address.

/** How something is shared. */
export interface ShareOptions {
  /** Ends it. */
  readonly signal?: AbortSignal | undefined
}

/** Something of this process that others reach by an address, until this is closed. */
export interface Share {
  /** Where: port 0 has become the port. */
  readonly address: string
  /** Clients at this moment. */
  readonly connections: number
  /** Was it closed? */
  readonly closed: boolean
  /** Takes no more clients, and ends the connections of those that are there. Resolves when they have ended. */
  close(): Promise<void>
}
