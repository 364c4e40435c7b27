// What a receiver that spins does when there is nothing: looking all the time takes the cache line with the position
// away from the sender again and again, and slows both down. All that spin in a stream do the same, C++ too.

/** About a microsecond: what was fastest. */
const rounds = 3000
let spun = 0

export function leaveAlone(): void {
  for (let i = 0; i < rounds; i++) spun = (spun + i) | 0
}
