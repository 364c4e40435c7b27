// A process of the demo: does one task, reports, ends. Started by company.ts with the task as its
// argument.

import { receiveFile, receivePaced, sendFile, sendPaced } from './file-actors.js'
import { checkFrames, viewFrames, writeFrames } from './frame-actors.js'
import type { Outcome, Task } from './roles.js'
import { Stage } from './stage.js'

const stage = new Stage()

function leave(): void {
  stage.clear()
  process.exit(1)
}
// Ctrl-C reaches the whole group; the demo decides. If it ends, however, so do we.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', leave)
process.on('disconnect', leave)
// It may have ended while this file was being loaded.
if (!process.connected) leave()

function act(task: Task): Promise<Outcome> {
  switch (task.role) {
    case 'file-sender':
      return sendFile(task, stage)
    case 'file-receiver':
      return receiveFile(task, stage)
    case 'paced-file-sender':
      return sendPaced(task, stage)
    case 'paced-file-receiver':
      return receivePaced(task, stage)
    case 'frame-writer':
      return writeFrames(task, stage)
    case 'frame-checker':
      return checkFrames(task, stage)
    case 'frame-viewer':
      return viewFrames(task, stage)
  }
}

try {
  const outcome = await act(JSON.parse(process.argv[2] ?? '') as Task)
  stage.tell({ type: 'outcome', outcome }, () => process.exit(0))
} catch (error) {
  stage.clear()
  const message = error instanceof Error ? error.message : String(error)
  stage.tell({ type: 'error', message }, () => process.exit(1))
}
