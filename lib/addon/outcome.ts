// What hot calls of the addon return instead of a result.

/** Results of hot native calls below zero; the numbers of native/addon/method.hpp. */
export const Outcome = {
  wouldBlock: -1,
  tooLarge: -2,
  corrupt: -3,
  closed: -4,
  invalid: -5,
  tooManyHeld: -6,
  lapped: -7,
  busy: -8,
} as const
