// What is written to standard output, for as long as somebody reads it.

/** Resolves when whoever reads it has room for more. What is not read any more is an error, and not a wait. */
export function written(chunk: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
