// A source of messages that a test gives it, on a clock of the test's.

import type { RecordedKind, RecordSource, SourceMessage } from 'millrace/recording'

export class FakeSource implements RecordSource {
  readonly name: string
  readonly kind: RecordedKind
  readonly facts: Readonly<Record<string, string>>
  missed = 0n
  closed = false
  /** When it all began. */
  readonly began = BigInt(Date.now()) * 1_000_000n
  #sequence = 0n
  #waiting: SourceMessage[] = []

  constructor(name: string, kind: RecordedKind, facts: Readonly<Record<string, string>> = {}) {
    this.name = name
    this.kind = kind
    this.facts = facts
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** `at`, `seen`: milliseconds from the beginning. */
  give(
    bytes: string | Uint8Array,
    { at = 0, seen = at, ...facts }: Partial<SourceMessage> & { at?: number; seen?: number } = {},
  ): void {
    this.#waiting.push({
      op: 'message',
      sequence: ++this.#sequence,
      publishedAt: this.began + BigInt(Math.round(at * 1e6)),
      seenAt: this.began + BigInt(Math.round(seen * 1e6)),
      bytes: Buffer.from(bytes),
      ...facts,
    })
  }

  read(most = Infinity): readonly SourceMessage[] {
    return this.#waiting.splice(0, most)
  }

  close(): void {
    this.closed = true
  }
}
