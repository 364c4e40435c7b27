// Which headers of a job are its own: what a gateway sent along, and the context of its trace. The rest is the engine's, or somebody else's.

export const isSentAlong = (name: string): boolean =>
  name === 'traceparent' || name.startsWith('millrace-')
