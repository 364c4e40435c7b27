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
  /** Whether it keeps the event loop alive. */
  hold(alive: boolean): void
  close(): void
}

export interface NativeSegmentReceipt {
  /** Name, descriptor, name, descriptor, …; undefined: no answer yet. */
  take(): readonly (string | number)[] | undefined
  close(): void
}
