// What `npm run mutate` changes, one at a time, and the test that has to notice. Beside the lines that safety stands on:
// orders, second looks, judgements of what a peer wrote, who cleans up after whom.
//
// What no test on this kind of processor can notice, or only by luck, is not here: a release made relaxed is the same
// instruction on x86, and a missing fence shows once in millions. For those there are the argument beside the line,
// ThreadSanitizer and the models.

import { calls } from './mutants/calls.mjs'
import { door } from './mutants/door.mjs'
import { frames } from './mutants/frames.mjs'
import { javascript } from './mutants/javascript.mjs'
import { messaging } from './mutants/messaging.mjs'
import { order } from './mutants/order.mjs'
import { resilience } from './mutants/resilience.mjs'
import { results } from './mutants/results.mjs'
import { ring } from './mutants/ring.mjs'
import { topicJoins } from './mutants/topic-joins.mjs'
import { topics } from './mutants/topics.mjs'
import { waits } from './mutants/waits.mjs'
import { watch } from './mutants/watch.mjs'
import { work } from './mutants/work.mjs'

/**
 * `name`; `file` and the `text` in it, which has to be there exactly once, and what is put there `instead`; what that
 * `breaks`; the `test` that has to fail (scripts/mutation-workshop.mjs); whether it is in the `short` form.
 */
export const mutants = [
  ...frames,
  ...door,
  ...ring,
  ...waits,
  ...work,
  ...watch,
  ...order,
  ...resilience,
  ...results,
  ...topics,
  ...topicJoins,
  ...calls,
  ...javascript,
  ...messaging,
]
