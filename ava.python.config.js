// TypeScript against the Python package, and every language against each other: `npm run test:python`, which names the interpreter
// and the library.
export default {
  files: ['out/test/python/**/*.test.js', 'out/test/interop/matrix/**/*.test.js'],
  workerThreads: false,
  concurrency: 2,
  timeout: '2m',
}
