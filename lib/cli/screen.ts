// Where output goes: how wide it is, and whether colours are wanted there.

/** Columns of a line that is cut to what a terminal shows; where there is none, nothing is. */
export function screenColumns(): number {
  return process.stdout.isTTY ? Math.max(process.stdout.columns || 80, 20) : Infinity
}

/** Makes what is less important pale, on a terminal that wants colours: not with --no-color, nor with NO_COLOR. */
export function paleHere(noColor: boolean | undefined): (text: string) => string {
  const { NO_COLOR: refused, TERM: terminal } = process.env
  const wanted =
    process.stdout.isTTY && noColor !== true && (refused ?? '') === '' && terminal !== 'dumb'
  return wanted ? (text) => (text === '' ? text : `\u001b[2m${text}\u001b[22m`) : (text) => text
}
