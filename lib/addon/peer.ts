// How the other side of a channel is doing, as the addon counts it.

/** How the other side of a channel is doing. */
export type PeerState = 'absent' | 'attached' | 'closed' | 'gone' | 'failed'

/** What native `peer()` returns, by index. */
export const peerStates: readonly PeerState[] = ['absent', 'attached', 'closed', 'gone', 'failed']
