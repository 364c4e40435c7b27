// The classes that views of memory are made of.

/** Makes a typed array over memory; any of the typed array constructors, or DataView. */
export type ViewConstructor<T> = new (buffer: ArrayBuffer, byteOffset: number, length: number) => T
