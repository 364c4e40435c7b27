// Locks as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import { LockGuard, Mutex, RwLock, type PartyOptions } from 'millrace/sync'

const signal = AbortSignal.timeout(1)

const mutex = Mutex.open('name', { mode: 0o660, owner: 1000, poll: 0, spin: 0.5 })
expectType<Mutex>(mutex)
expectType<LockGuard | undefined>(mutex.tryLock())
expectType<Promise<LockGuard>>(mutex.lock())
expectType<Promise<LockGuard>>(mutex.lock({ signal, timeout: 10 }))
expectType<LockGuard>(mutex.lockSync({ timeout: 10, spin: 0.1 }))
expectType<Promise<number>>(mutex.withLock((guard) => Number(guard.abandoned)))
expectType<Promise<string>>(mutex.withLock(() => Promise.resolve('x'), { timeout: 1 }))
expectType<number>(mutex.holder)
expectType<string>(mutex.name)
expectType<boolean>(mutex.closed)
expectType<void>(mutex.close())
expectType<Mutex>(mutex.ref().unref())
expectType<boolean>(Mutex.unlink('name'))
expectAssignable<Disposable>(mutex)
expectError(mutex.lockSync({ signal }))
expectError((mutex.holder = 1))
expectError(Mutex.open('name', { keep: true }))

declare const guard: LockGuard
expectType<boolean>(guard.abandoned)
expectType<boolean>(guard.released)
expectType<void>(guard.release())
expectType<void>(guard.abandon())
expectAssignable<Disposable>(guard)
expectError((guard.abandoned = true))

const lock = RwLock.open('name')
expectType<RwLock>(lock)
expectType<LockGuard | undefined>(lock.tryReadLock())
expectType<LockGuard | undefined>(lock.tryWriteLock())
expectType<Promise<LockGuard>>(lock.readLock({ signal }))
expectType<Promise<LockGuard>>(lock.writeLock({ timeout: 1 }))
expectType<LockGuard>(lock.readLockSync())
expectType<LockGuard>(lock.writeLockSync({ timeout: 1 }))
expectType<Promise<number>>(lock.withReadLock(() => 1))
expectType<Promise<void>>(lock.withWriteLock(() => undefined as void))
expectType<number>(lock.readers)
expectType<number>(lock.writer)
expectAssignable<Disposable>(lock)

expectAssignable<PartyOptions>({ mode: undefined, poll: 1 })
