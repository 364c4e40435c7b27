// Plain shared memory: native/addon/shared_memory.cpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'

export interface NativeMemoryOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly size: number
  readonly mode: number
  readonly owner: number | undefined
  readonly create: boolean
  readonly readOnly: boolean
}

export interface NativeMemory {
  readonly size: number
  readonly path: string
  buffer(): ArrayBuffer
  read(offset: number, target: ArrayBufferView): number
  write(offset: number, source: ArrayBufferView): number
  flush(): Promise<void>
  flushNow(): void
  close(): void
}
