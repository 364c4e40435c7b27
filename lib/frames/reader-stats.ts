// What became of the frames that were for one reader.

/** Counts of one reader since it joined; all 0 when it is closed. */
export interface FrameReaderStats {
  /** Frames handed to the program, those of the history among them. */
  readonly received: number
  /**
   * Frames published since this reader joined that the policy let go: dropped, or overwritten. With `wait` none is. What lies
   * between `after` and the history does not count here; the first frame's `missed` tells it.
   */
  readonly lost: number
  /** Frames passed over by `latest` and `receiveLatest`. */
  readonly skipped: number
  /** Sequence of the last frame published before this reader joined. */
  readonly joinedAfter: number
  /** Frames that can be received now: queued, or of the history. */
  readonly waiting: number
  /** Frames in hand now: received and not yet released. */
  readonly held: number
}
