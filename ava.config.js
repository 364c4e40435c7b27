// Each test file runs in a process of its own: a crash in native code is then reported against the
// file that caused it, and the other files still run.
export default {
  files: ['out/test/**/*.test.js'],
  workerThreads: false,
  nodeArguments: ['--expose-gc'],
  concurrency: 2,
  timeout: '2m',
}
