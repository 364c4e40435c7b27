// What a receiver that spins does when there is nothing: looking all the time takes the cache line with the position
// away from the sender again and again, and slows both down. Long messages are better read when
// they have left the sender's own cache for the one that cores share. All that spin in a stream do the same, C++ too.

/** About a microsecond: what was fastest for short ones. */
const rounds = 3000
let spun = 0
/** Milliseconds for each byte of long ones: half a microsecond for a KiB. */
const msPerByte = 0.0005 / 1024
const long = 8 * 1024

export function leaveAlone(bytes: number): void {
  if (bytes < long) {
    for (let i = 0; i < rounds; i++) spun = (spun + i) | 0
  } else {
    const end = performance.now() + bytes * msPerByte
    while (performance.now() < end);
  }
}
