/**
 * A suite that any transport can be put through: {@link conformance}. It needs nothing but `node:assert`, and works in every test runner.
 *
 * @module millrace/net/conformance
 */

export {
  conformance,
  type Conformance,
  type ConformanceCase,
  type ConformanceFinding,
  type ConformanceOptions,
  type ConformanceOutcome,
} from './conformance/conformance.js'
export type { ConformanceEnds } from './conformance/scene.js'
