// Families as Prometheus reads them: text format 0.0.4.

import type { Family } from './families.js'

/** What an HTTP answer says that has such text in it. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

/** Families as text, for a `/metrics` page or a file that node_exporter's textfile collector reads. */
export function prometheusText(families: readonly Family[]): string {
  // Put together at the end: a text that grows line by line keeps the memory manager busier than the lines do.
  const lines: string[] = []
  for (const { name, type, help, samples } of families) {
    lines.push(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
    for (const { labels, value } of samples)
      lines.push(`${name}${labelled(labels)} ${String(value)}\n`)
  }
  return lines.join('')
}

function labelled(labels: Readonly<Record<string, string>>): string {
  let text = ''
  for (const key of Object.keys(labels)) {
    text += (text === '' ? '{' : ',') + key + '="' + escaped(labels[key]!) + '"'
  }
  return text === '' ? '' : text + '}'
}

function escaped(label: string): string {
  if (!/[\\"\n]/.test(label)) return label
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
