// list and sweep, as a user's compiler sees them.

import { expectAssignable, expectError, expectType } from 'tsd'

import { list, sweep, type ObjectEntry, type ObjectState } from 'millrace'

expectType<ObjectEntry[]>(list())
expectType<ObjectEntry[]>(list({ prefix: 'jobs' }))
expectError(list({ prefix: 1 }))
expectError(list({ kept: true }))

const { removed, left } = sweep({ prefix: 'jobs', kept: true, semaphores: true, dryRun: true })
expectType<ObjectEntry[]>(removed)
expectType<ObjectEntry[]>(left)
expectAssignable<ObjectState>('half-created')
for (const { created, holders } of left) {
  expectType<Date | undefined>(created)
  for (const { pid, alive } of holders) {
    expectType<number | undefined>(pid)
    expectType<boolean>(alive)
  }
}
expectError(((entry: ObjectEntry) => (entry.state = 'kept'))(left[0]!))
