// What filters mean, where an engine leaves that to us: which subjects match, and whether two can match the same one.

/** Does the filter match the subject? `*` is any token, `>` one or more at the end. */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split('.')
  const tokens = subject.split('.')
  for (const [at, token] of wanted.entries()) {
    if (at >= tokens.length) return false
    if (token === '>') return true
    if (token !== '*' && token !== tokens[at]) return false
  }
  return wanted.length === tokens.length
}

/** Is there a subject that both match? */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [one.split('.'), other.split('.')]
  for (let at = 0; at < a.length && at < b.length; at++) {
    const [left, right] = [a[at]!, b[at]!]
    if (left === '>' || right === '>') return true
    if (left !== '*' && right !== '*' && left !== right) return false
  }
  return a.length === b.length
}
