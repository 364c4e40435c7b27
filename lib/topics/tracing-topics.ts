// Where the work that is done for who looks on at messages is loaded: by the first of them.

export function tracedTopics(): typeof import('./traced-topics.js') {
  return require('./traced-topics.js') as typeof import('./traced-topics.js')
}
