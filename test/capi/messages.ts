// The messages of peer.c, as it makes them.

/** A text of its own for each number, of many lengths. */
export function message(i: number): string {
  return `message ${String(i)} ${'x'.repeat((i * 7) % 300)}`
}
