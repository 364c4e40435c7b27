// Where a segment lives, as the addon takes it.

/** A name, the descriptor of a nameless segment, or a file. */
export type NativePlace = string | number | { readonly file: string }
