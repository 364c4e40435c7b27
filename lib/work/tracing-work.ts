// Where the work that is done for who looks on at jobs is loaded: by the first of them.

export function tracedWork(): typeof import('./traced-work.js') {
  return require('./traced-work.js') as typeof import('./traced-work.js')
}
