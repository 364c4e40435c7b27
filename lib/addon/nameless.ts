// Nameless segments, and handing them over: native/addon/nameless.cpp.

export interface NativeNamelessSegment {
  readonly fd: number
  readonly title: string
  close(): void
}

export interface NativeAllow {
  readonly uids: readonly number[] | undefined
  readonly gids: readonly number[] | undefined
  readonly pids: readonly number[] | undefined
}

export interface NativeSegmentOffer {
  /** With `each`, inside of `onPeer`: hands these to the peer. Did it get them? */
  give(segments: { readonly names: readonly string[]; readonly fds: readonly number[] }): boolean
  /** Whether who comes has to wait. */
  pause(wanted: boolean): void
  /** Whether it keeps the event loop alive. */
  hold(alive: boolean): void
  close(): void
}

export interface NativeSegmentReceipt {
  /** Name, descriptor, name, descriptor, …; undefined: no answer yet. */
  take(): readonly (string | number)[] | undefined
  /** Who offers. */
  peer(): readonly [uid: number, gid: number, pid: number]
  close(): void
}
