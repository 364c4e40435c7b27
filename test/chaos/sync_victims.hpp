// The victims of `npm run chaos` that lock, signal, meet, count and take permits.
#pragma once

#include <cstdint>

#include <millrace/millrace.hpp>

#include "victim.hpp"

namespace victims {

inline void lock_and_unlock(Part& part, layout::Kind kind) {
  detail::Lock lock;
  (void)opened([&]() -> Result<int> {
    auto done = lock.open(part.party(), kind, part.patience());
    if (!done.ok()) return done.error();
    return 0;
  });
  for (int i = 0; i < 100; ++i) {
    const bool exclusive = kind == layout::Kind::mutex || part.random.below(2) == 0;
    const LockStatus status = lock.lock(exclusive ? LockMode::exclusive : LockMode::shared, 5'000,
                                        part.random.below(8) == 0 ? 100'000 : 10 * kSecond);
    if (status == LockStatus::busy) continue;  // the time was over
    EXPECT(status == LockStatus::held || status == LockStatus::abandoned);
    const bool broken = ledger->left.load() != ledger->right.load();
    EXPECT(!broken || status == LockStatus::abandoned);
    if (exclusive) {
      if (broken) ledger->right.store(ledger->left.load());
      ledger->left.fetch_add(1);
      part.pause();
      ledger->right.fetch_add(1);
    }
    EXPECT(lock.unlock() == LockStatus::held);
    ledger->turns.fetch_add(1);
    part.pause();
  }
  lock.close();
}

inline void set_and_wait(Part& part) {
  EventSpec spec;
  static_cast<PartyOptions&>(spec) = part.party();
  auto event = opened([&] { return Event::open(spec, part.patience()); });
  for (int i = 0; i < 100; ++i) {
    event->set();
    part.pause();
    if (event->wait(os::Deadline::after(part.random.below(2 * kMillisecond))))
      ledger->turns.fetch_add(1);
  }
  event->close();
}
inline void arrive(Part& part) {
  BarrierSpec spec;
  static_cast<PartyOptions&>(spec) = part.party();
  spec.parties = 3;
  auto barrier = opened([&] { return Barrier::open(spec, part.patience()); });
  for (int i = 0; i < 100; ++i) {
    const BarrierTurn turn = barrier->wait(part.patience());
    EXPECT(turn.status != BarrierTurn::Status::corrupt);
    if (turn.status != BarrierTurn::Status::complete) {
      os::sleep_ns(kMillisecond);
      continue;
    }
    ledger->turns.fetch_add(1);
    part.pause();
  }
  barrier->close();
}
inline void count(Part& part) {
  CounterSpec spec;
  spec.place = Place(part.name);
  spec.initial = 1000;
  auto counter = opened([&] { return Counter::open(spec, part.patience()); });
  for (int i = 0; i < 1000; ++i) {
    ledger->trying.fetch_add(1);
    (void)counter->add(1);
    ledger->done.fetch_add(1);
    part.pause();
  }
  counter->close();
}
inline void take_permits(Part& part) {
  SemaphoreSpec spec;
  spec.name = part.name;
  spec.initial = 4;
  auto semaphore = opened([&] { return Semaphore::open(spec); });
  for (int i = 0; i < 100; ++i) {
    ledger->holding.store(1);
    if (!semaphore->wait_for(0, kMillisecond)) {
      ledger->holding.store(0);
      continue;
    }
    ledger->holding.store(2);
    part.pause();
    ledger->holding.store(1);
    EXPECT(semaphore->post().ok());
    ledger->holding.store(0);
    ledger->turns.fetch_add(1);
  }
}

}  // namespace victims
