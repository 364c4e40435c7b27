// Short texts, made long enough for a torn one to be noticed.

const times = 20

/** What the producer that sends it sends last. */
export const lastMessage = 'last'

export function stretch(text: string): Buffer {
  return Buffer.from(`${text} `.repeat(times))
}

/** The text; or, where the bytes are not those of one, something that never was sent. */
export function unstretch(bytes: Buffer): string {
  const all = bytes.toString()
  const [text = ''] = all.split(' ', 1)
  return all === `${text} `.repeat(times) ? text : `torn: ${all}`
}
