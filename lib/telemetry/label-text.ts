// Labels as Prometheus reads them. Of those that come again and again the text is kept beside them, for as long as they live.

/** Labels by their names. */
export type Labels = Readonly<Record<string, string>>

const texts = new WeakMap<Labels, string>()

/** Labels that do not change any more, whose text is found out once. */
export function withText(labels: Labels): Labels {
  texts.set(Object.freeze(labels), textOf(labels))
  return labels
}

/** Labels as Prometheus reads them, with the blank before the number: `{channel="a",kind="queue"} `. */
export function labelText(labels: Labels): string {
  return texts.get(labels) ?? textOf(labels)
}

function textOf(labels: Labels): string {
  const parts = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`)
  // In one piece of memory, as it is copied often.
  return parts.length === 0 ? ' ' : ['{', parts.join(','), '} '].join('')
}

function escaped(label: string): string {
  if (!/[\\"\n]/.test(label)) return label
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
