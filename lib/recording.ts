/**
 * Recording what goes through channels into files of the open format MCAP, and replaying them.
 *
 * @module millrace/recording
 */

export type { SchemaFacts } from './recording/mcap/format.js'
export type { PayloadFacts } from './recording/channels.js'
export { record, type RecordOptions } from './recording/record.js'
export type { RecorderOptions } from './recording/record-options.js'
export { Recorder, type RecordedChannel, type RecorderStats } from './recording/recorder.js'
export {
  openRecording,
  Recording,
  type MessagesOptions,
  type RecordedMessage,
  type RecordingChannel,
} from './recording/recording.js'
export {
  replay,
  Replay,
  type ReplayClock,
  type ReplayOptions,
  type ReplayStats,
} from './recording/replay.js'
export { takePart, type TakePartOptions } from './recording/taking-part.js'
export type {
  MessageFacts,
  RecordedKind,
  RecordedOp,
  RecordSource,
  SourceMessage,
} from './recording/source.js'
