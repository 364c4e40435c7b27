// The types of events as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import { SharedEvent, type SharedEventOptions } from 'millrace/sync'

const event = SharedEvent.open('name', { reset: 'manual', keep: true, poll: 0, mode: 0o660 })
expectType<SharedEvent>(event)
expectType<SharedEvent>(SharedEvent.open('name'))
expectAssignable<SharedEventOptions>({ reset: undefined })
expectType<boolean>(SharedEvent.unlink('name'))
expectType<void>(event.set())
expectType<void>(event.reset())
expectType<boolean>(event.isSet)
expectType<boolean>(event.tryWait())
expectType<Promise<void>>(event.wait({ signal: new AbortController().signal, timeout: 1 }))
expectType<void>(event.waitSync({ timeout: 1, spin: 0.1 }))
expectType<'auto' | 'manual'>(event.resetKind)
expectType<string>(event.name)
expectType<boolean>(event.closed)
expectType<SharedEvent>(event.ref().unref())
expectAssignable<Disposable>(event)
expectError(SharedEvent.open('name', { reset: 'automatic' }))
expectError(event.waitSync({ signal: new AbortController().signal }))
expectError((event.isSet = true))
