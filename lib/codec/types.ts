// What a codec is. There are some here; a program can bring its own.

/**
 * How values become bytes, and bytes values. `name` is compared by both ends: two codecs that do not understand one another must not
 * have the same.
 *
 * ```ts
 * const text: Codec<string> = {
 *   name: 'text',
 *   encode: (value) => new TextEncoder().encode(value),
 *   decode: (bytes) => new TextDecoder().decode(bytes),
 * }
 * ```
 */
export interface Codec<In = unknown, Out = In> {
  /** Compared by both ends. */
  readonly name: string
  /** The bytes of a value: good until they were copied, which whoever called it does before anything else. Throws what cannot be encoded. */
  encode(value: In): Uint8Array
  /**
   * Writes them to the start of `target` instead, and returns how many; `undefined`: they do not fit, and `target` may hold part
   * of them. Without it they are made by `encode` and copied.
   */
  encodeInto?(value: In, target: Uint8Array): number | undefined
  /**
   * The value. Nothing of it points into `bytes`, which lie in shared memory, and hold something else soon. Throws if they are none
   * of its.
   */
  decode(bytes: Uint8Array): Out
}
