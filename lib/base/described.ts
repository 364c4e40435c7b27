// What is known of a function of a client, and of what it rejects with, beside their types. It knows no class: whoever makes such a
// function or error says it here, and whoever wraps the function asks here.

/** What a function of a client does when it is called. */
export interface Described {
  /** One value and one answer? Others take or give many, and are no promise that could be made again. */
  readonly once: boolean
  /** May it be done twice? */
  readonly idempotent: boolean
}

const known = new WeakMap<object, Described>()

/** Returns the function. */
export function describe<F extends object>(made: F, facts: Described): F {
  known.set(made, facts)
  return made
}

export function descriptionOf(made: object): Described | undefined {
  return known.get(made)
}

const answers = new WeakSet<Error>()

/** The error is a handler's answer: what was called works, and has run. Returns it. */
export function asAnswer(error: Error): Error {
  answers.add(error)
  return error
}

export function isAnswer(error: unknown): boolean {
  return error instanceof Error && answers.has(error)
}
