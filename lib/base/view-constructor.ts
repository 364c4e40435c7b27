// Views of memory, and the classes that they are made of.

/** Makes a typed array over memory; any of the typed array constructors, or DataView. */
export type ViewConstructor<T> = new (buffer: ArrayBuffer, byteOffset: number, length: number) => T

/**
 * Bytes in memory that is no SharedArrayBuffer, as the web's interfaces ask for them: `Uint8Array<ArrayBuffer>` from
 * TypeScript 5.7 on, `Uint8Array` before.
 */
export type Bytes = InstanceType<typeof Uint8Array>

/** A Buffer in such memory: `Buffer<ArrayBuffer>` where the declarations of Node know the difference. */
export type PlainBuffer = ReturnType<typeof Buffer.alloc>
