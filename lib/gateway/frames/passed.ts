// Which hosts the frames of a channel have passed that a route of this process writes. A frame in shared memory does not say it, so who reads
// the channel in the same process asks here; another process does not know.

interface Since {
  readonly sequence: number
  readonly hops: readonly string[]
}

/** Changes that are remembered: as many as a channel has slots, at most. */
const mostChanges = 4096
const none: readonly string[] = []
const channels = new Map<string, Since[]>()

/** The frame of that number, and those after it until another is told of, have passed them. */
export function tellPassed(channelId: string, sequence: number, hops: readonly string[]): void {
  const told = channels.get(channelId) ?? []
  if (told.length === 0) channels.set(channelId, told)
  if (told.at(-1)?.hops.join() === hops.join()) return
  told.push({ sequence, hops })
  if (told.length > mostChanges) told.shift()
}

export function passedOf(channelId: string, sequence: number): readonly string[] {
  return channels.get(channelId)?.findLast((one) => one.sequence <= sequence)?.hops ?? none
}

/** What is written there from now on comes from somebody else; what was written is still on its way to readers. */
export function endPassed(channelId: string, sequence: number): void {
  if (channels.has(channelId)) tellPassed(channelId, sequence + 1, none)
}
