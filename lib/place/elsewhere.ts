// Where a name is, said outside of the program: `thumbnails` is this machine's memory, unless somebody says that it is elsewhere.

import { schemeOf, type Resolve, type Resolver } from './address.js'

let own: Resolver | undefined

/**
 * Says where names are, before the variable `MILLRACE_ADDRESSES` of the environment is asked: a function, an object of addresses by
 * names, or the path of a JSON file with one. `undefined` takes that back.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function setResolve(resolve: Resolve | string | undefined): void {
  own =
    resolve === undefined || typeof resolve === 'function'
      ? resolve
      : addresses().resolverOf(resolve)
}

/**
 * The address of a place that is not this machine's memory; undefined: it is. `shm://jobs` and `jobs` are asked for as `jobs`.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (what was said outside is wrong: the message says where)
 */
export function addressElsewhere(place: unknown): string | undefined {
  if (typeof place !== 'string') return undefined
  const scheme = schemeOf(place)
  if (scheme !== undefined && scheme !== 'shm') return place
  const text = process.env['MILLRACE_ADDRESSES']
  if (own === undefined && (text === undefined || text === '')) return undefined
  const name = scheme === undefined ? place : place.slice('shm://'.length)
  const found = addresses().find(name, own, text)
  return found === undefined || schemeOf(found) === 'shm' ? undefined : found
}

function addresses() {
  return require('./addresses.js') as typeof import('./addresses.js')
}
