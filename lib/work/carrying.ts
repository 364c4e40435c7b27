// What a gateway, a floor above, needs of this room to open a queue wherever it is.

export { readWorkOptions } from './options.js'
export { WorkQueue } from './work-queue.js'
export { readWork, workAt } from './working.js'
