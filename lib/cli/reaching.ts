// Addresses where somebody may come to listen only later.

const pauseMs = 50

/** Tries until somebody is there, or the time for that is over: then what went wrong last is thrown. */
export async function reached<T>(
  attempt: () => Promise<T>,
  timeout: number,
  signal: AbortSignal,
): Promise<T> {
  const end = performance.now() + timeout
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isNobodyThere(error) || performance.now() >= end) throw error
    }
    await new Promise((done) => setTimeout(done, pauseMs))
    signal.throwIfAborted()
  }
}

export function isNobodyThere(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown }
  return code === 'ERR_MILLRACE_NOT_FOUND' || code === 'ERR_MILLRACE_UNREACHABLE'
}
