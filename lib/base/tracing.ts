// What is asked for who looks on, and where the work for them is loaded: by the first of them.

export {
  calling,
  connecting,
  inHand,
  processing,
  receiving,
  sending,
  type Onlookers,
} from './watched.js'

/** What does the work for who looks on. */
export function traced(): typeof import('./traced.js') {
  return require('./traced.js') as typeof import('./traced.js')
}
