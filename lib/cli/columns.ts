// Tables as wide as their content. What was written by others may hold anything: nothing in it reaches the
// terminal as a control sequence.

/** Every row has as many cells as there are columns; the last column is not padded. */
export function formatColumns(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const shown = rows.map((row) => row.map(printable))
  const widths = (shown[0] ?? []).map((_, column) =>
    Math.max(...shown.map((row) => row[column]?.length ?? 0)),
  )
  return shown
    .map((row) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0
        return right.includes(column) ? cell.padStart(width) : cell.padEnd(width)
      })
      return `${cells.join('  ').trimEnd()}\n`
    })
    .join('')
}

/** As it may stand in one line of a terminal, whatever it is. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Z}]/gu, (found) =>
    found === ' ' ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`,
  )
}
