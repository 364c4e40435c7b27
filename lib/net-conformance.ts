/**
 * Suites that any transport can be put through: {@link conformance} for its channels, {@link patternConformance} for what the patterns
 * promise over them. They need nothing but `node:assert`, and work in every test runner.
 *
 * @module millrace/net/conformance
 */

export { conformance, type ConformanceOptions } from './conformance/conformance.js'
export {
  patternConformance,
  type PatternConformanceOptions,
} from './conformance/patterns/patterns.js'
export type { ConformanceEnds } from './conformance/scene.js'
export type {
  Conformance,
  ConformanceCase,
  ConformanceFinding,
  ConformanceOutcome,
} from './conformance/suite.js'
