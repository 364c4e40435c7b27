// Semaphores that are closed, and their names removed, with their test.

import type { ExecutionContext } from 'ava'
import { Semaphore, type SemaphoreOptions } from 'millrace/sync'

import { uniqueName } from './names.js'

/** A new one under a name of its own. */
export function createSemaphore(
  t: ExecutionContext,
  initial: number,
  options?: SemaphoreOptions,
): Semaphore {
  const name = uniqueName(t)
  const semaphore = Semaphore.create(name, initial, options)
  t.teardown(() => {
    semaphore.close()
    Semaphore.unlink(name)
  })
  return semaphore
}

/** Another object for the one of that name. */
export function openSemaphore(
  t: ExecutionContext,
  name: string,
  options?: SemaphoreOptions,
): Semaphore {
  const semaphore = Semaphore.open(name, options)
  t.teardown(() => {
    semaphore.close()
  })
  return semaphore
}

/** The file a C library keeps the semaphore in: glibc's, or, where that is not, musl's. */
export function semaphorePath(name: string): string {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return `/dev/shm/${header.glibcVersionRuntime === undefined ? '' : 'sem.'}${name}`
}
