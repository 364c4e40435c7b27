// What the processes of the demo can be told to do, and what they answer.

export type Transport = 'millrace' | 'socket'

interface Common {
  readonly transport: Transport
  /** Name of the channel, or path of the socket. */
  readonly address: string
}

export interface FileTask extends Common {
  readonly role: 'file-sender' | 'file-receiver'
  readonly file: string
  /** Bytes of the file. */
  readonly size: number
  /** How often the whole file is sent. */
  readonly rounds: number
  /** SHA-256 at both ends; without it, the receiver only takes the bytes into its own memory. */
  readonly hash: boolean
}

/** Chunks of a file one at a time, for the latency. */
export interface PacedFileTask extends Common {
  readonly role: 'paced-file-sender' | 'paced-file-receiver'
  readonly file: string
  readonly chunkBytes: number
  readonly chunks: number
  readonly everyMs: number
}

export interface FrameTask extends Common {
  readonly role: 'frame-writer' | 'frame-checker' | 'frame-viewer'
  readonly frames: number
  /** Milliseconds from one frame to the next; 0: as fast as readers allow. */
  readonly everyMs: number
  /** Where the checker puts its contact sheet. */
  readonly sheet?: string
}

export type Task = FileTask | PacedFileTask | FrameTask

export interface Outcome {
  /** When the first byte was on its way, or the last one taken; nanoseconds of the monotonic clock. */
  readonly at: number
  readonly messages: number
  readonly bytes: number
  readonly sha256?: string
  /** Publish to receive. */
  readonly latenciesNs: readonly number[]
}

/** What an actor tells the demo. */
export type Report =
  | { readonly type: 'progress'; readonly bytes: number }
  | { readonly type: 'outcome'; readonly outcome: Outcome }
  | { readonly type: 'error'; readonly message: string }
