// Families as Prometheus reads them: text format 0.0.4.

import type { Family } from './families.js'
import { labelText } from './label-text.js'

/** What an HTTP answer says that has such text in it. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

/** @internal A number as a page has it: of a summary or a histogram several make a sample. */
export interface Line {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** @internal The lines of a family, in their order. */
export function linesOf({ name, samples }: Family): readonly Line[] {
  return samples.flatMap(({ labels, value, count, buckets }) => {
    if (count === undefined) return [{ name, labels, value }]
    const bounded = (buckets ?? []).map((bucket) => ({
      name: `${name}_bucket`,
      labels: { ...labels, le: String(bucket.atMost) },
      value: bucket.count,
    }))
    return [
      ...bounded,
      ...(buckets === undefined
        ? []
        : [{ name: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count }]),
      { name: `${name}_sum`, labels, value },
      { name: `${name}_count`, labels, value: count },
    ]
  })
}

/** Families as text, for a `/metrics` page or a file that node_exporter's textfile collector reads. */
export function prometheusText(families: readonly Family[]): string {
  // Pieces, put together at the end: a text that grows line by line keeps the memory manager busier than the lines do.
  const pieces: string[] = []
  for (const family of families) {
    const { name, type, help, samples } = family
    pieces.push(`# HELP ${name} ${help}\n# TYPE ${name} ${type}`)
    if (type === 'counter' || type === 'gauge') {
      // The many plain ones without a list of their own.
      const begin = `\n${name}`
      for (const { labels, value } of samples) pieces.push(begin, labelText(labels), String(value))
    } else {
      for (const line of linesOf(family))
        pieces.push('\n', line.name, labelText(line.labels), String(line.value))
    }
    pieces.push('\n')
  }
  return pieces.join('')
}
