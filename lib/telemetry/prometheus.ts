// Families as Prometheus reads them: text format 0.0.4.

import type { Family } from './families.js'

/** What an HTTP answer says that has such text in it. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

/** Families as text, for a `/metrics` page or a file that node_exporter's textfile collector reads. */
export function prometheusText(families: readonly Family[]): string {
  const lines: string[] = []
  for (const { name, type, help, samples } of families) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const { labels, value } of samples) {
      const all = Object.entries(labels).map(([key, of]) => `${key}="${escaped(of)}"`)
      lines.push(`${name}${all.length === 0 ? '' : `{${all.join(',')}}`} ${String(value)}`)
    }
  }
  return lines.map((line) => `${line}\n`).join('')
}

function escaped(label: string): string {
  if (!/[\\"\n]/.test(label)) return label
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
