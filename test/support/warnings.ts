// Warnings of the process.

import type { ExecutionContext } from 'ava'

/** The warnings with that code about that queue, from now on. */
export function warningsOf(
  t: ExecutionContext,
  code: string,
  { name }: { readonly name: string },
): string[] {
  const found: string[] = []
  const onWarning = (warning: Error & { readonly code?: string }) => {
    if (warning.code === code && warning.message.includes(`'${name}'`)) found.push(warning.message)
  }
  process.on('warning', onWarning)
  t.teardown(() => {
    process.off('warning', onWarning)
  })
  return found
}
