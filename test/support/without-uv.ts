// Loaded before the library (`node --import`): makes the process look like one of the runtimes whose
// event loop is not libuv's, so that wake-ups come through the watcher thread.

Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '0' } })
