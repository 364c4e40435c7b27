// The types of counters as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import { Counter, type CounterOptions } from 'millrace/sync'

const counter = Counter.open('name', { initial: 5, keep: true, mode: 0o660 })
expectType<Counter>(counter)
expectAssignable<CounterOptions>({ initial: 5n })
expectType<boolean>(Counter.unlink('name'))
expectType<bigint>(counter.get())
expectType<number>(counter.toNumber())
expectType<void>(counter.set(7))
expectType<bigint>(counter.add())
expectType<bigint>(counter.add(-1))
expectType<bigint>(counter.exchange(7n))
expectType<bigint>(counter.compareExchange(7n, 8))
expectType<boolean>(counter.closed)
expectAssignable<Disposable>(counter)
expectError(Counter.open())
expectError(counter.add('1'))
