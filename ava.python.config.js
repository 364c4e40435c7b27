// TypeScript against the Python package: `npm run test:python`, which names the interpreter and the library.
export default {
  files: ['out/test/python/**/*.test.js'],
  workerThreads: false,
  concurrency: 2,
  timeout: '2m',
}
