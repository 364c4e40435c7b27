// Which word was meant: the one with the fewest letters changed, left out, added or swapped.

/** The word that is near enough to be a slip of the pen; undefined: none is. */
export function nearest(given: string, words: readonly string[]): string | undefined {
  const most = Math.max(1, Math.floor(given.length / 3))
  return words
    .map((word) => ({ word, steps: distance(given.toLowerCase(), word.toLowerCase()) }))
    .filter(({ steps }) => steps <= most)
    .sort((one, other) => one.steps - other.steps)[0]?.word
}

/** Changes between two words; letters that have swapped places are one. */
function distance(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1]
      const steps = [rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1)]
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
        steps.push(rows[i - 2]![j - 2]! + 1)
      }
      row.push(Math.min(...steps))
    }
    rows.push(row)
  }
  return rows[one.length]![other.length]!
}
