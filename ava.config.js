// Each test file runs in a process of its own: a crash in native code is then reported against the
// file that caused it, and the other files still run.
export default {
  // Those of engines need servers, those of Python numpy, and the matrix of languages runs with these: ava.engines.config.js,
  // ava.python.config.js.
  files: [
    'out/test/**/*.test.js',
    '!out/test/engines/**',
    '!out/test/python/**',
    '!out/test/interop/matrix/**',
  ],
  workerThreads: false,
  nodeArguments: ['--expose-gc'],
  concurrency: 2,
  timeout: '2m',
}
