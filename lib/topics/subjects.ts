// What messages are called, and what subscribers ask for: tokens with dots between them.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** Bytes of UTF-8. */
export const longestSubject = 255
/** Filters of one subscription, and bytes of all of them. */
export const mostFilters = 16
export const longestFilters = 1024

/** Control characters, spaces of all kinds, and halves of characters. */
const unprintable = /[\p{C}\p{Z}]/u
const wild = /[*>]/

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkSubject(subject: unknown): string {
  const text = checkText(subject, 'a subject')
  for (const token of text.split('.')) {
    checkToken(token, text, 'a subject')
    if (wild.test(token)) {
      throw invalidArgument(
        `a subject has no * and no >, which belong to filters: ${show(text)} was published to`,
      )
    }
  }
  return text
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkFilters(given: unknown): readonly string[] {
  const filters: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (filters.length === 0 || filters.length > mostFilters) {
    throw invalidArgument(
      `a subscription has 1 to ${String(mostFilters)} filters, not ${String(filters.length)}: subscribe several times, or ` +
        'take * and > to have one filter for many subjects',
    )
  }
  const texts = filters.map(checkFilter)
  const length = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (length > longestFilters) {
    throw invalidArgument(
      `the filters of a subscription have at most ${String(longestFilters)} bytes of UTF-8 together, not ${String(length)}`,
    )
  }
  return texts
}

function checkFilter(filter: unknown): string {
  const text = checkText(filter, 'a filter')
  const tokens = text.split('.')
  tokens.forEach((token, at) => {
    checkToken(token, text, 'a filter')
    if (!wild.test(token) || token === '*') return
    if (token === '>' && at === tokens.length - 1) return
    throw invalidArgument(
      `in a filter, * is a whole token, and > is the last one, as in 'line1.*' and 'line1.>'; not ${show(text)}`,
    )
  })
  return text
}

function checkText(text: unknown, what: string): string {
  if (typeof text !== 'string') {
    throw invalidArgument(`${what} must be text, such as 'line1.temp', not ${show(text)}`)
  }
  if (Buffer.byteLength(text) > longestSubject) {
    throw invalidArgument(`${what} has at most ${String(longestSubject)} bytes of UTF-8`)
  }
  return text
}

function checkToken(token: string, text: string, what: string): void {
  if (token === '') {
    throw invalidArgument(
      `${what} is tokens with dots between them, and none of them is empty; not ${show(text)}`,
    )
  }
  if (unprintable.test(token)) {
    throw invalidArgument(
      `${what} has neither spaces nor characters that cannot be printed; not ${show(text)}`,
    )
  }
}

/** Is that subject asked for? Both have been judged. */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split('.')
  const tokens = subject.split('.')
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return tokens.length > at
    if (at >= tokens.length || (token !== '*' && token !== tokens[at])) return false
  }
  return tokens.length === wanted.length
}
