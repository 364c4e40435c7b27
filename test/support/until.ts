// Waiting for a state, never for a time: poll it, with a deadline.

/** Resolves as soon as `condition` holds; rejects when it does not within `deadlineMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`still not so after ${deadlineMs} ms: ${condition.toString()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** The watchdog: passes `promise` on, but rejects when it does not settle within `deadlineMs`. */
export async function within<T>(deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const barked = new Promise<never>((_, reject) => {
    const error = new Error(`nothing happened for ${deadlineMs} ms`)
    timer = setTimeout(() => {
      reject(error)
    }, deadlineMs)
  })
  try {
    return await Promise.race([promise, barked])
  } finally {
    clearTimeout(timer)
  }
}
