import type { Scene } from './scene.js'

/** One thing that a transport is asked for. */
export interface Behaviour {
  readonly name: string
  /** Rejects with what is wrong, or with `NotClaimed`. */
  judge(scene: Scene): Promise<void>
}
