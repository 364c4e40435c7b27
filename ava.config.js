// Each test file runs in a process of its own: a crash in native code is then reported against the
// file that caused it, and the other files still run.
export default {
  // Those of engines need servers: ava.engines.config.js.
  files: ['out/test/**/*.test.js', '!out/test/engines/**'],
  workerThreads: false,
  nodeArguments: ['--expose-gc'],
  concurrency: 2,
  timeout: '2m',
}
