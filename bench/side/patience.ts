// What a receiver that spins does when there is nothing: looking all the time takes the cache line with the position
// away from the sender again and again, and slows both down. A ring of megabytes is left alone until there is more in it
// than the sender's own cache holds: what has gone on to the cache that both cores share is read much faster. All that
// spin in a stream do the same, C++ too.

/** About a microsecond: what was fastest for small rings. */
const rounds = 3000
let spun = 0
const mebibyte = 1024 * 1024
const msPerMebibyte = 0.0125

/** `capacity` of the ring in bytes. */
export function leaveAlone(capacity: number): void {
  if (capacity < mebibyte) {
    for (let i = 0; i < rounds; i++) spun = (spun + i) | 0
  } else {
    const end = performance.now() + (capacity / mebibyte) * msPerMebibyte
    while (performance.now() < end);
  }
}
