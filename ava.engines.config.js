// Tests against servers that nobody here wrote, which the tests start and end: `npm run test:engines`.
export default {
  files: ['out/test/engines/**/*.test.js'],
  workerThreads: false,
  // Servers are each test file's own, and tests wait more than they work: two files at a time, and the tests of one after each other.
  concurrency: 2,
  serial: true,
  timeout: '2m',
}
