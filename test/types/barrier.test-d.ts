// The types of barriers as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import { Barrier, type BarrierOptions, type BarrierTurn } from 'millrace/sync'

const barrier = Barrier.open('name', { parties: 3, poll: 0, mode: 0o660 })
expectType<Barrier>(barrier)
expectAssignable<BarrierOptions>({ parties: 3, owner: 1000 })
expectType<boolean>(Barrier.unlink('name'))
expectType<Promise<BarrierTurn>>(barrier.wait({ signal: new AbortController().signal, timeout: 1 }))
expectType<BarrierTurn>(barrier.waitSync({ timeout: 1, spin: 0.1 }))
expectType<number>(barrier.parties)
expectType<number>(barrier.arrived)
expectType<void>(barrier.reset())
expectType<Barrier>(barrier.ref().unref())
expectAssignable<Disposable>(barrier)
expectError(Barrier.open('name'))
expectError(Barrier.open('name', {}))
expectError(barrier.wait(5))

declare const turn: BarrierTurn
expectType<number>(turn.generation)
expectType<boolean>(turn.serial)
expectError((turn.serial = true))
