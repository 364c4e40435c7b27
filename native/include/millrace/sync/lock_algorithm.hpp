// The lock under Mutex and RwLock: who holds it is one word, so that no death can tear it.
//
//   free ──CAS──► held (EXCLUSIVE and one bit, or one bit per reader) ──CAS──► free
//                   │ somebody waits: WAITERS                          no WAITERS
//                   ▼ the exclusive holder is done, or the last reader leaves
//                 EXCLUSIVE|PASSING ──scan entries, grant, install──► held by the next in line
//
// Waiting is an entry {ticket, mode, waiting} of one's own, and WAITERS set in the word *after* it. While
// WAITERS is set the lock never becomes free: it is handed to the one with the lowest ticket, or to all
// readers in line up to the first writer. Hence nobody overtakes, and a new reader stays behind a waiting
// writer. (Phase-fair locks: Brandenburg and Anderson, 2010; hand-off instead of barging: MCS.)
//
// Only the exclusive holder grants, and it grants in two steps: the entry goes from waiting to granted (by
// CAS: a wait that has been given up in that instant is not granted), then the word is changed from
// EXCLUSIVE|PASSING|granter to the new holders. Whoever gives up a wait goes from waiting to idle by CAS;
// if that fails it has been granted, and owns the lock as soon as the word says so.
//
// Death. A holder is dead if its seat is vacant. Whoever buries it acts in its place (see parties.hpp):
//   - a reader: its bit leaves as if it had unlocked;
//   - an exclusive holder: PASSING is set, and its passing-on done again from the start. ABANDONED is set
//     with it, unless PASSING was set before (its critical section was over), or its entry still says
//     granted (it died before it learned that it holds the lock, so its critical section had not begun);
//   - one that waits: its entry becomes idle. If it is granted but not installed, its living granter is
//     about to install it: burial has to wait for that.
// A granter that dies between the two steps leaves granted entries; whoever passes on next treats them as
// first in line, because they can no longer give up.
//
// No lost wake-up: (A1) entry = waiting, (A2) RMW on the word that sets WAITERS; (B1) RMW on the word that
// clears WAITERS, (B2) scan of the entries, (B3) CAS of the word that would clear the lock, only from a
// word without WAITERS. All RMWs of one word are in one order: if A2 is before B1, B2 sees A1 (release and
// acquire through the word); if it is after B1, B3 fails and B1 is done again. A2 is done even where
// WAITERS is already set, or it would not take part in that order.
//
// Memory is how the words are reached; a test puts a model there. It has
//   word(), next_ticket(), entry(seat)   std::atomic<uint64_t>&, or what behaves like it
//   present() -> seats with somebody     vacant(seat) -> nobody alive is there
//   wake(seat)                           that party looks again
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/lock.hpp"

namespace millrace {

enum class LockMode { shared, exclusive };

enum class LockStatus {
  held,       // the caller has the lock
  abandoned,  // likewise, and whoever had it exclusively last died inside
  busy,       // not now
  misused,    // this handle holds it or waits for it already; or, to unlock, does not hold it
  corrupt,    // the words are impossible
};

// How an exclusive holder ends: its work is done, or was cut short and the next one is to know.
enum class LockEnding { finished, cut };

template <typename Memory>
class LockAlgorithm {
 public:
  explicit LockAlgorithm(Memory& memory) noexcept : memory_(memory) {}

  // Takes the lock if that overtakes nobody.
  LockStatus try_lock(std::uint32_t me, LockMode mode) { return take(me, mode, kNoTicket); }

  // Gets in line. look() must follow.
  void announce(std::uint32_t me, LockMode mode) {
    const std::uint64_t ticket = memory_.next_ticket().fetch_add(1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("lock.announce.ticket");
    // release: (A1), for whoever learns of it through (A2).
    memory_.entry(me).store(waiting_entry(ticket, mode), std::memory_order_release);
    MILLRACE_CRASH_POINT("lock.announce.waiting");
  }
  // How the wait of `me` stands. busy: it is in line for certain.
  LockStatus look(std::uint32_t me) {
    // acquire: pairs with the release of grant().
    const std::uint64_t entry = memory_.entry(me).load(std::memory_order_acquire);
    switch (entry & layout::kEntryState) {
      case layout::kEntryWaiting: {
        const LockStatus taken = take(me, mode_of(entry), ticket_of(entry));
        if (taken == LockStatus::corrupt && granted(me)) return installed(me);
        if (taken == LockStatus::held || taken == LockStatus::abandoned) clear_entry(me);
        MILLRACE_CRASH_POINT("lock.look.done");
        return taken;
      }
      case layout::kEntryGranted:
        return installed(me);
      default:
        return LockStatus::corrupt;
    }
  }
  // Cheap: is a look() worth while?
  [[nodiscard]] bool stirred(std::uint32_t me) const {
    const std::uint64_t entry = memory_.entry(me).load(std::memory_order_acquire);
    switch (entry & layout::kEntryState) {
      case layout::kEntryWaiting:
        // An exclusive wait ends with a grant only, a shared one also when a writer before it gives up.
        return mode_of(entry) == LockMode::shared &&
               admits(memory_.word().load(std::memory_order_relaxed), LockMode::shared,
                      ticket_of(entry));
      case layout::kEntryGranted:
        // The granter wakes us when it has installed what it granted.
        return (memory_.word().load(std::memory_order_relaxed) & (1ULL << me)) != 0;
      default:
        return true;
    }
  }
  // Gives the wait up. False: the lock has been granted, and look() will say so as soon as it is installed.
  bool withdraw(std::uint32_t me) {
    auto& mine = memory_.entry(me);
    std::uint64_t entry = mine.load(std::memory_order_acquire);
    if ((entry & layout::kEntryState) == layout::kEntryGranted) return false;
    // Against grant(): exactly one of the two gets the entry.
    if (!mine.compare_exchange_strong(entry, layout::kEntryIdle, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      return (entry & layout::kEntryState) != layout::kEntryGranted;
    }
    MILLRACE_CRASH_POINT("lock.withdraw.idle");
    // Readers that stayed behind this writer may join those who read now.
    const std::uint64_t word = memory_.word().load(std::memory_order_relaxed);
    if (mode_of(entry) == LockMode::exclusive && (word & layout::kLockExclusive) == 0) {
      detail::for_each_bit(memory_.present() & ~(1ULL << me),
                           [this](std::uint32_t seat) { memory_.wake(seat); });
    }
    return true;
  }

  LockStatus unlock(std::uint32_t me, LockEnding ending) {
    const std::uint64_t bit = 1ULL << me;
    auto& word = memory_.word();
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (int tries = 0; tries < kTries; ++tries) {
      if (!sane(seen) || (seen & bit) == 0) return LockStatus::corrupt;
      std::uint64_t next = 0;
      if ((seen & layout::kLockExclusive) != 0) {
        next = ending == LockEnding::cut ? layout::kLockAbandoned : 0;
      } else {
        next = seen & ~bit;
      }
      const bool last = (next & layout::kLockHolders) == 0;
      const bool pass = last && (seen & layout::kLockWaiters) != 0;
      if (pass) {
        next = (next & layout::kLockAbandoned) | bit | layout::kLockExclusive |
               layout::kLockPassing | layout::kLockWaiters;
      }
      // release: pairs with the acquire in take() and installed(): the next holder sees what this one
      // did. acquire: the last reader passes on what the readers before it released.
      if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
        MILLRACE_CRASH_POINT("lock.unlock.stored");
        return pass ? pass_on(me) : LockStatus::held;
      }
    }
    return LockStatus::corrupt;
  }

  // Undoes what a dead party left; see Parties::Repair. False: not yet.
  bool repair(std::uint32_t seat) {
    const std::uint64_t bit = 1ULL << seat;
    auto& its = memory_.entry(seat);
    std::uint64_t entry = its.load(std::memory_order_acquire);
    if ((entry & layout::kEntryState) == layout::kEntryWaiting) {
      // Against a grant in this very instant, as withdraw() does.
      if (!its.compare_exchange_strong(entry, layout::kEntryIdle, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return false;
      }
      entry = layout::kEntryIdle;
    }
    MILLRACE_CRASH_POINT("lock.repair.idle");
    const bool was_granted = (entry & layout::kEntryState) == layout::kEntryGranted;
    auto& word = memory_.word();
    std::uint64_t seen = word.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries; ++tries) {
      if ((seen & bit) == 0) {
        // Granted and not installed: the granter is about to do it, or it is dead and to be buried first.
        // With nobody there who could, the entry is nonsense.
        if (was_granted && (seen & layout::kLockPassing) != 0) return false;
        clear_entry(seat);
        return true;
      }
      if (!sane(seen)) return true;  // whoever takes the lock next reports it
      if ((seen & layout::kLockExclusive) == 0) {
        clear_entry(seat);
        (void)unlock(seat, LockEnding::finished);
        return true;
      }
      const bool inside = (seen & layout::kLockPassing) == 0 && !was_granted;
      const std::uint64_t next =
          seen | layout::kLockPassing | (inside ? layout::kLockAbandoned : 0);
      if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lock.repair.passing");
        clear_entry(
            seat);  // only now: until PASSING is set it tells that the dead one was not inside
        MILLRACE_CRASH_POINT("lock.repair.cleared");
        (void)pass_on(seat);
        return true;
      }
    }
    return true;
  }

  // Those whose death would let `me` go on, or get on in the line: the holders, and whoever waits before it.
  // Without a wait of its own, the holders.
  [[nodiscard]] std::uint64_t obstacles(std::uint32_t me) const {
    std::uint64_t found = holders();
    const std::uint64_t entry = memory_.entry(me).load(std::memory_order_relaxed);
    if ((entry & layout::kEntryState) == layout::kEntryIdle) return found;
    detail::for_each_bit(memory_.present(), [&](std::uint32_t seat) {
      const std::uint64_t other = memory_.entry(seat).load(std::memory_order_relaxed);
      if ((other & layout::kEntryState) != layout::kEntryIdle &&
          ticket_of(other) < ticket_of(entry)) {
        found |= 1ULL << seat;
      }
    });
    return found & ~(1ULL << me);
  }
  [[nodiscard]] std::uint64_t holders() const {
    return memory_.word().load(std::memory_order_relaxed) & layout::kLockHolders;
  }
  [[nodiscard]] bool held_exclusively() const {
    return (memory_.word().load(std::memory_order_relaxed) & layout::kLockExclusive) != 0;
  }
  // Does somebody wait to have it exclusively? A hint: for readers who could share a place that is held already.
  // WAITERS is set after the entry (A1, A2), and stays while somebody is in line.
  [[nodiscard]] bool writer_waits() const {
    return (memory_.word().load(std::memory_order_acquire) & layout::kLockWaiters) != 0 &&
           writer_before(kNoTicket);
  }
  [[nodiscard]] bool marked_abandoned() const {
    return (memory_.word().load(std::memory_order_relaxed) & layout::kLockAbandoned) != 0;
  }
  // For the first of a new crowd, with nobody else there: an impossible word is one that may be abandoned.
  void heal() {
    auto& word = memory_.word();
    if (!sane(word.load(std::memory_order_relaxed)))
      word.store(layout::kLockAbandoned, std::memory_order_relaxed);
  }

 private:
  // A failed compare-and-swap means that somebody else got on. So many in a row do not happen to anybody,
  // unless a hostile process does nothing else than changing the word.
  static constexpr int kTries = 1'000'000;
  static constexpr int kRounds = 10'000;  // likewise, each with a look at all entries
  static constexpr std::uint64_t kNoTicket = ~std::uint64_t{0};

  static std::uint64_t waiting_entry(std::uint64_t ticket, LockMode mode) noexcept {
    return (ticket << layout::kEntryTicketShift) | layout::kEntryWaiting |
           (mode == LockMode::exclusive ? layout::kEntryExclusive : 0);
  }
  static LockMode mode_of(std::uint64_t entry) noexcept {
    return (entry & layout::kEntryExclusive) != 0 ? LockMode::exclusive : LockMode::shared;
  }
  static std::uint64_t ticket_of(std::uint64_t entry) noexcept {
    return entry >> layout::kEntryTicketShift;
  }
  static std::uint64_t granted_from(std::uint64_t entry) noexcept {
    return (entry & ~layout::kEntryState) | layout::kEntryGranted;
  }
  static bool sane(std::uint64_t word) noexcept {
    constexpr std::uint64_t known = layout::kLockHolders | layout::kLockExclusive |
                                    layout::kLockWaiters | layout::kLockAbandoned |
                                    layout::kLockPassing;
    if ((word & ~known) != 0) return false;
    const std::uint64_t holders = word & layout::kLockHolders;
    if ((word & layout::kLockExclusive) != 0) return std::has_single_bit(holders);
    if ((word & layout::kLockPassing) != 0) return false;
    return holders != 0 || (word & layout::kLockWaiters) == 0;
  }
  static LockStatus status_of(std::uint64_t word) noexcept {
    return (word & layout::kLockAbandoned) != 0 ? LockStatus::abandoned : LockStatus::held;
  }

  // May somebody with this ticket come in?
  [[nodiscard]] bool admits(std::uint64_t word, LockMode mode, std::uint64_t ticket) const {
    if ((word & layout::kLockHolders) == 0) return true;
    if (mode == LockMode::exclusive || (word & layout::kLockExclusive) != 0) return false;
    return (word & layout::kLockWaiters) == 0 || !writer_before(ticket);
  }
  [[nodiscard]] bool writer_before(std::uint64_t ticket) const {
    bool found = false;
    detail::for_each_bit(memory_.present(), [&](std::uint32_t seat) {
      const std::uint64_t entry = memory_.entry(seat).load(std::memory_order_acquire);
      if ((entry & layout::kEntryState) == layout::kEntryWaiting &&
          mode_of(entry) == LockMode::exclusive && ticket_of(entry) < ticket) {
        found = true;
      }
    });
    return found;
  }

  // Takes the lock by one CAS if it admits us. Otherwise, with a ticket, sets WAITERS.
  //
  // Whoever takes it with an entry in line has not been granted meanwhile, nor will be: a grant comes from
  // an exclusive holder, which the word would show, until it shows us.
  LockStatus take(std::uint32_t me, LockMode mode, std::uint64_t ticket) {
    const std::uint64_t bit = 1ULL << me;
    auto& word = memory_.word();
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (int tries = 0; tries < kTries; ++tries) {
      if (!sane(seen) || (seen & bit) != 0) return LockStatus::corrupt;
      if (admits(seen, mode, ticket)) {
        const std::uint64_t next =
            seen | bit | (mode == LockMode::exclusive ? layout::kLockExclusive : 0);
        // acquire: pairs with the release in unlock().
        if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
          MILLRACE_CRASH_POINT("lock.take.taken");
          return status_of(seen);
        }
      } else if (ticket == kNoTicket ||
                 word.compare_exchange_weak(seen, seen | layout::kLockWaiters,
                                            std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {  // (A2)
        MILLRACE_CRASH_POINT("lock.take.waiters");
        return LockStatus::busy;
      }
    }
    return LockStatus::corrupt;
  }

  [[nodiscard]] bool granted(std::uint32_t me) const {
    return (memory_.entry(me).load(std::memory_order_acquire) & layout::kEntryState) ==
           layout::kEntryGranted;
  }
  LockStatus installed(std::uint32_t me) {
    // acquire: pairs with the release of the word in pass_on().
    const std::uint64_t word = memory_.word().load(std::memory_order_acquire);
    if (!sane(word)) return LockStatus::corrupt;
    if ((word & (1ULL << me)) == 0) {
      // PASSING was set before the grant, and stays until the word shows us: nobody granted us this.
      return (word & layout::kLockPassing) != 0 ? LockStatus::busy : LockStatus::corrupt;
    }
    MILLRACE_CRASH_POINT("lock.installed.seen");
    clear_entry(me);  // from here on our death is that of a holder
    MILLRACE_CRASH_POINT("lock.installed.held");
    return status_of(word);
  }
  void clear_entry(std::uint32_t seat) {
    memory_.entry(seat).store(layout::kEntryIdle, std::memory_order_release);
  }

  // Who is next: the granted if there are any, else the first in line and, if that is a reader, the
  // readers behind it up to the first writer.
  struct Next {
    std::uint64_t seats = 0;
    bool exclusive = false;
    bool more = false;  // others stay behind
  };
  [[nodiscard]] Next next_in_line() const {
    std::array<std::uint64_t, layout::kMaxParties> tickets{};
    std::uint64_t readers = 0;
    std::uint64_t writers = 0;
    std::uint64_t first_writer = 0;
    std::uint64_t granted_readers = 0;
    std::uint64_t granted_writers = 0;
    std::uint64_t writer_ticket = kNoTicket;
    detail::for_each_bit(memory_.present(), [&](std::uint32_t seat) {
      const std::uint64_t bit = 1ULL << seat;
      // acquire: pairs with the release in announce().
      const std::uint64_t entry = memory_.entry(seat).load(std::memory_order_acquire);
      const bool exclusive = mode_of(entry) == LockMode::exclusive;
      tickets[seat] = ticket_of(entry);
      switch (entry & layout::kEntryState) {
        case layout::kEntryWaiting:
          (exclusive ? writers : readers) |= bit;
          if (exclusive && tickets[seat] < writer_ticket) {
            writer_ticket = tickets[seat];
            first_writer = bit;
          }
          break;
        case layout::kEntryGranted:
          (exclusive ? granted_writers : granted_readers) |= bit;
          break;
        default:
          break;
      }
    });
    Next next;
    if (granted_writers != 0) {
      next.seats = granted_writers & (~granted_writers + 1);  // there is one, unless it was forged
      next.exclusive = true;
    } else if (granted_readers != 0) {
      next.seats = granted_readers;
    } else {
      detail::for_each_bit(readers, [&](std::uint32_t seat) {
        if (tickets[seat] < writer_ticket) next.seats |= 1ULL << seat;
      });
      if (next.seats == 0) {
        next.seats = first_writer;
        next.exclusive = first_writer != 0;
      }
    }
    next.more = ((readers | writers | granted_readers | granted_writers) & ~next.seats) != 0;
    return next;
  }

  // Grants to those of `next` who still want it and live. Returns who they are.
  std::uint64_t grant(const Next& next) {
    std::uint64_t granted = 0;
    detail::for_each_bit(next.seats, [&](std::uint32_t seat) {
      auto& its = memory_.entry(seat);
      std::uint64_t entry = its.load(std::memory_order_relaxed);
      const bool dead = memory_.vacant(seat);
      const bool already = (entry & layout::kEntryState) == layout::kEntryGranted;
      if ((entry & layout::kEntryState) == layout::kEntryIdle ||
          (mode_of(entry) == LockMode::exclusive) != next.exclusive) {
        return;
      }
      if (already && !dead) {
        granted |= 1ULL << seat;
        return;
      }
      // Against withdraw(). release: who learns of its grant sees that PASSING was set before.
      if (its.compare_exchange_strong(entry, dead ? layout::kEntryIdle : granted_from(entry),
                                      std::memory_order_acq_rel, std::memory_order_relaxed) &&
          !dead) {
        granted |= 1ULL << seat;
      }
    });
    return granted;
  }

  // The word is EXCLUSIVE|PASSING with the bit of `me`: hands the lock to the next in line, or frees it.
  LockStatus pass_on(std::uint32_t me) {
    auto& word = memory_.word();
    for (int round = 0; round < kRounds; ++round) {
      // (B1); acquire: with each WAITERS that it takes away it sees the entry behind it.
      std::uint64_t seen =
          word.fetch_and(~layout::kLockWaiters, std::memory_order_acq_rel) & ~layout::kLockWaiters;
      MILLRACE_CRASH_POINT("lock.pass.scanning");
      if (!passing(seen, me)) return LockStatus::corrupt;
      const Next next = next_in_line();  // (B2)
      if (next.seats == 0) {
        // (B3)
        if (word.compare_exchange_strong(seen, seen & layout::kLockAbandoned,
                                         std::memory_order_acq_rel, std::memory_order_relaxed)) {
          MILLRACE_CRASH_POINT("lock.pass.freed");
          return LockStatus::held;
        }
        continue;
      }
      const std::uint64_t granted = grant(next);
      if (granted == 0) continue;  // they gave up, or died
      MILLRACE_CRASH_POINT("lock.pass.granted");
      for (int tries = 0; tries < kTries; ++tries) {
        if (!passing(seen, me)) return LockStatus::corrupt;
        const std::uint64_t installed = granted | (next.exclusive ? layout::kLockExclusive : 0) |
                                        (next.more ? layout::kLockWaiters : 0) |
                                        (seen & (layout::kLockAbandoned | layout::kLockWaiters));
        // release: pairs with the acquire in installed().
        if (word.compare_exchange_weak(seen, installed, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
          MILLRACE_CRASH_POINT("lock.pass.installed");
          detail::for_each_bit(granted, [this](std::uint32_t seat) { memory_.wake(seat); });
          return LockStatus::held;
        }
      }
      return LockStatus::corrupt;
    }
    return LockStatus::corrupt;
  }
  static bool passing(std::uint64_t word, std::uint32_t me) noexcept {
    return sane(word) && (word & layout::kLockPassing) != 0 && (word & (1ULL << me)) != 0;
  }

  Memory& memory_;
};

}  // namespace millrace
