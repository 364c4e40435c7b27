// Where output goes: how wide it is, and whether colours are wanted there.

export const bold = (text: string): string => `\u001b[1m${text}\u001b[22m`
export const dim = (text: string): string => `\u001b[2m${text}\u001b[22m`
export const red = (text: string): string => `\u001b[31m${text}\u001b[39m`

/** Columns of a line that is cut to what a terminal shows; where there is none, nothing is. */
export function screenColumns(): number {
  return process.stdout.isTTY ? Math.max(process.stdout.columns || 80, 20) : Infinity
}

/** Makes what is less important pale, on a terminal that wants colours: not with --no-color, nor with NO_COLOR. */
export function paleHere(noColor: boolean | undefined): (text: string) => string {
  if (noColor === true || !sizeOfScreen().colours) return (text) => text
  return (text) => (text === '' ? text : dim(text))
}

/** What is no terminal takes any number of lines, which have 80 signs all the same; and so has a terminal that does not say how large it is. */
export function sizeOfScreen(): {
  readonly columns: number
  readonly rows: number
  readonly colours: boolean
} {
  const { stdout } = process
  if (!stdout.isTTY) return { columns: 80, rows: Infinity, colours: false }
  return { columns: stdout.columns || 80, rows: stdout.rows || 24, colours: stdout.hasColors() }
}
