// The judgement of a transferred file.

/** What one end saw of a file; `sha256` in hexadecimal. */
export interface FileFacts {
  readonly bytes: number
  readonly sha256: string
}

/** Throws unless the far end saw what the near end sent. */
export function assertSameFile(sent: FileFacts, received: FileFacts): void {
  if (sent.bytes !== received.bytes) {
    throw new Error(`${sent.bytes} bytes were sent, but ${received.bytes} arrived`)
  }
  if (sent.sha256 !== received.sha256) {
    throw new Error(`SHA-256 sent: ${sent.sha256}, received: ${received.sha256}`)
  }
}
