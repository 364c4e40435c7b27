// What is known of a function of a client, and of what it rejects with, beside their types. Whoever wraps such functions
// (`millrace/resilience`) does not load this entry point for it, and may be another copy of the package: so it stands under symbols that
// all copies share, and nobody else sees.

/** What a function of a client does when it is called. */
export interface Described {
  /** One value and one answer? Others take or give many, and are no promise that could be made again. */
  readonly once: boolean
  /** May it be done twice? */
  readonly idempotent: boolean
}

const described = Symbol.for('millrace.described')
const answer = Symbol.for('millrace.answer')
const refusal = Symbol.for('millrace.refusal')

/** Returns the function. */
export function describe<F extends object>(made: F, facts: Described): F {
  return Object.defineProperty(made, described, { value: facts })
}

export function descriptionOf(made: object): Described | undefined {
  return (made as { readonly [described]?: Described })[described]
}

/** The error is a handler's answer: what was called works, and has run. Returns it. */
export function asAnswer(error: Error): Error {
  return Object.defineProperty(error, answer, { value: true })
}

/** Thrown in the place of a handler, which was not begun with. Returns it. */
export function asRefusal(error: Error): Error {
  return Object.defineProperty(error, refusal, { value: true })
}

export function isRefused(error: unknown): boolean {
  return error instanceof Error && refusal in error
}

export function isAnswer(error: unknown): boolean {
  return error instanceof Error && answer in error
}
