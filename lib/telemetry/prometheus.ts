// Families as Prometheus reads them: text format 0.0.4.

import type { Family, Sample } from './families.js'

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
  // Put together at the end: a text that grows line by line keeps the memory manager busier than the lines do.
  const lines: string[] = []
  const labelled = labelTexts()
  for (const family of families) {
    const { name, type, help } = family
    lines.push(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
    const told = type === 'counter' || type === 'gauge' ? undefined : linesOf(family)
    // The many plain ones without a list of their own: what begins each of them stands between them.
    if (told === undefined) {
      const samples = family.samples.map(
        ({ labels, value }) => `${labelled(labels)} ${String(value)}`,
      )
      if (samples.length > 0) lines.push(name, samples.join(`\n${name}`), '\n')
    } else {
      for (const line of told)
        lines.push(`${line.name}${labelled(line.labels)} ${String(line.value)}\n`)
    }
  }
  return lines.join('')
}

/** Labels as text. A channel has the same ones in many families: what has been written once is known. */
function labelTexts(): (labels: Sample['labels']) => string {
  const whole = new Map<Sample['labels'], string>()
  const parts = new Map<string, Map<string, string>>()
  const partOf = (key: string, value: string): string => {
    let ofKey = parts.get(key)
    if (ofKey === undefined) parts.set(key, (ofKey = new Map<string, string>()))
    let text = ofKey.get(value)
    if (text === undefined) ofKey.set(value, (text = `${key}="${escaped(value)}"`))
    return text
  }
  return (labels) => {
    let text = whole.get(labels)
    if (text !== undefined) return text
    text = ''
    for (const key in labels) text += (text === '' ? '{' : ',') + partOf(key, labels[key]!)
    if (text !== '') text += '}'
    whole.set(labels, text)
    return text
  }
}

function escaped(label: string): string {
  if (!/[\\"\n]/.test(label)) return label
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
