// Tests against servers that nobody here wrote, which the tests start and end: `npm run test:engines`.
export default {
  files: ['out/test/engines/**/*.test.js'],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  timeout: '2m',
}
