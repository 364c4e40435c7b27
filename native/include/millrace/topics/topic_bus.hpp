// Topics: many processes publish messages under subjects, and many subscribe to some of them. One handle: its seat, its sleep, what
// it publishes and what it reads. The log is in log.hpp, what keeps a slot in keeping.hpp, positions in entries.hpp, subjects in
// subjects.hpp, who wants which of them in interest.hpp, who is on the topics in seats.hpp, who sleeps in sleepers.hpp.
//
// A handle is used by one thread at a time.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../os/mapping.hpp"
#include "../result.hpp"
#include "../segment.hpp"
#include "../store/seat_lock.hpp"
#include "../waiting.hpp"
#include "../words.hpp"
#include "entries.hpp"
#include "facts.hpp"
#include "interest.hpp"
#include "keeping.hpp"
#include "log.hpp"
#include "lookouts.hpp"
#include "memory.hpp"
#include "publishing.hpp"
#include "reading.hpp"
#include "retained.hpp"
#include "seats.hpp"
#include "shape.hpp"
#include "sleepers.hpp"
#include "spec.hpp"
#include "subjects.hpp"
#include "topic_meter.hpp"

namespace millrace {

class TopicBus {
 public:
  // no_lane: all seats are taken. geometry: there are topics with other properties than those stated.
  static Result<std::unique_ptr<TopicBus>> open(const TopicSpec& spec,
                                                const os::Deadline& deadline) {
    auto judged = detail::wanted_topics(spec);
    if (!judged.ok()) return judged.error();
    const TopicShape wanted = judged.take();
    std::unique_ptr<TopicBus> self(new TopicBus);
    TopicBus* const bus = self.get();
    auto entered = self->seats_.enter(
        spec, wanted,
        [&](const TopicShape& found) -> Result<TopicShape> {
          return detail::judge_topics(spec, found);
        },
        [bus]() -> Result<void> {
          if (!bus->map()) return *bus->unmapped_;
          TopicSlots(bus->memory_, 0).mark_all();
          return {};
        },
        deadline);
    if (!entered.ok()) return entered.error();
    if (!self->map()) return *self->unmapped_;
    self->begin();
    return self;
  }
  TopicBus(const TopicBus&) = delete;
  TopicBus& operator=(const TopicBus&) = delete;
  ~TopicBus() { close(); }

  // --- subjects ---

  // Its number, for as long as there are these topics. It is made if it is not known. no_lane: there are as many as there may be;
  // invalid_argument: that is no subject; timeout: somebody is in the middle of making one, try again.
  Result<std::uint32_t> subject(std::string_view text) {
    return with_table([&] { return subjects_->intern(text); });
  }
  // Of a number that was got from here; empty if there is none.
  [[nodiscard]] std::string subject_text(std::uint32_t subject) const {
    return subjects_->text(subject);
  }

  // --- publish ---

  // `matched`: the number of subscribers that it was for. `time_ns`: of several that are published at once all have one.
  [[nodiscard]] Published try_publish(std::uint32_t subject, std::span<const std::byte> payload,
                                      std::span<const std::byte> headers, std::uint32_t& matched,
                                      std::uint64_t time_ns = os::real_ns()) {
    // Who does not get a place need not copy first.
    if (!publishing_.make_place(subject)) return Published::full;
    TopicLoan loan;
    Published done = publishing_.reserve(subject, payload.size(), headers.size(), loan);
    if (done != Published::yes) return done;
    copy_to_shared(memory_.words_at(loan.at), payload.data(), payload.size());
    done = publish(loan, payload.size(), headers, matched, time_ns);
    cancel(loan);
    return done;
  }
  // The same for a handle that counts how long messages take: see TopicMeter. Who publishes in two steps calls mark() in between.
  [[nodiscard]] Published try_publish(std::uint32_t subject, std::span<const std::byte> payload,
                                      std::span<const std::byte> headers, std::uint32_t& matched,
                                      TopicMeter& meter, std::uint64_t time_ns = os::real_ns()) {
    if (!publishing_.make_place(subject)) return Published::full;
    TopicLoan loan;
    Published done = publishing_.reserve(subject, payload.size(), headers.size(), loan);
    if (done != Published::yes) return done;
    copy_to_shared(memory_.words_at(loan.at), payload.data(), payload.size());
    meter.mark(loan);
    done = publish(loan, payload.size(), headers, matched, time_ns);
    cancel(loan);
    return done;
  }
  [[nodiscard]] TopicMeter meter() const { return TopicMeter(memory_); }
  // A place to write in, for a payload of so many bytes and so many of headers.
  [[nodiscard]] Published reserve(std::uint32_t subject, std::uint64_t bytes, std::uint64_t headers,
                                  TopicLoan& loan) {
    return publishing_.reserve(subject, bytes, headers, loan);
  }
  // What was written there becomes a message of so many bytes. Unless the answer is `yes` the place is still the caller's.
  [[nodiscard]] Published publish(TopicLoan& loan, std::uint64_t length,
                                  std::span<const std::byte> headers, std::uint32_t& matched,
                                  std::uint64_t time_ns = os::real_ns()) {
    const std::uint32_t subject = loan.subject;
    if (!lookouts_.kept()) [[unlikely]]
      call_lookout(subject, time_ns);
    std::uint64_t index = 0;
    const Published done = publishing_.publish(loan, length, headers, time_ns, index);
    if (done == Published::yes) matched = announce(subject);
    return done;
  }
  void cancel(TopicLoan& loan) {
    if (publishing_.cancel(loan)) sleepers_.tell_room();
  }

  // --- subscriptions ---

  // The number of its entry. no_lane: there are as many as there may be; invalid_argument: no such filter; geometry: the queue group
  // is there with other filters; timeout: somebody is stopped in the middle of subscribing.
  Result<std::uint32_t> subscribe(std::span<const std::string_view> filters,
                                  const SubscribeOptions& options) {
    const auto joined = with_table([&] { return interest_->join(filters, options); });
    if (!joined.ok()) return joined.error();
    const std::uint32_t entry = joined.value().entry;
    owed_[entry] = 0;
    ++mine_[entry];
    if (options.replay.last) {
      retained_[entry].collect(memory_, entry, joined.value().position, keeping_, log_, entries_,
                               reading_);
      sleepers_.tell_room();  // where it began may have been in somebody's way
    }
    return entry;
  }
  // As often as the entry was got by subscribe(): of a queue group a handle can be a member several times.
  void unsubscribe(std::uint32_t entry) {
    if (!is_mine(entry)) return;
    if (--mine_[entry] != 0) return;
    retained_[entry].drop();
    stop_pumping(entry);
    interest_->leave(entry);
    sleepers_.tell_room();
  }

  // The next messages of that entry, `most` at most. Small ones are copied to `target` as long as there is room in it. With
  // `in_place` those longer than kTopicCopyMost are pinned instead, as long as there are pins, and to be released. Returns how many.
  std::uint32_t read(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                     std::span<std::byte> target, bool in_place) {
    if (!is_mine(entry) || is_group(entry) || most == 0) return 0;
    if (!retained_[entry].empty()) [[unlikely]] {
      const std::uint32_t count = retained_[entry].read(to, most, target);
      auto& received = memory_.entry(entry).received;
      received.store(received.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
      return count;
    }
    const auto done = reading_.read(entry, to, most, target, in_place, owed_[entry]);
    return told(entry, done);
  }
  // The same for a handle that counts how long messages took.
  std::uint32_t read(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                     std::span<std::byte> target, bool in_place, TopicMeter& meter) {
    // What was there before it came is not counted.
    const bool counts = is_mine(entry) && !is_group(entry) && retained_[entry].empty();
    if (!counts || most == 0) return read(entry, to, most, target, in_place);
    const auto done = reading_.read(entry, to, most, target, in_place, owed_[entry], meter.marks());
    // Before there is room for others: what it took does not include waking them.
    meter.received(entry, done.count);
    return told(entry, done);
  }
  void release(std::uint32_t pin) {
    if (keeping_.unpin(pin)) sleepers_.tell_room();
  }
  // May there be a message for that entry?
  [[nodiscard]] bool ready(std::uint32_t entry) const {
    std::uint64_t bytes = 0;
    return is_mine(entry) && (!retained_[entry].empty() || reading_.next(entry, bytes));
  }
  // What that entry has missed so far. The last of it may not have been told yet with a message, as none has come since.
  [[nodiscard]] std::uint64_t missed(std::uint32_t entry) const noexcept {
    if (!is_mine(entry)) return 0;
    const layout::Entry& its = memory_.entry(entry);
    return its.missed.load(std::memory_order_relaxed) +
           layout::unpack_position(its.position.load(std::memory_order_acquire)).missed;
  }
  // The size of the next message of that entry, headers included, rounded up to 8; 0: there is none now.
  [[nodiscard]] std::uint64_t next_bytes(std::uint32_t entry) const {
    std::uint64_t bytes = 0;
    if (!is_mine(entry)) return 0;
    if (!retained_[entry].empty())
      bytes = retained_[entry].next_bytes();
    else if (!reading_.next(entry, bytes))
      return 0;
    return std::max<std::uint64_t>(TopicPublishing::padded(bytes), 8);
  }

  // --- queue groups ---

  // Begins to move the next messages of a group's entry elsewhere: as read(), copies alone, and they stay where they are until
  // pump_end(). Whoever dies in between leaves them to the next one, who may find them moved already. kPumpBusy: another member is
  // at it, and lives. Of 0 messages nothing is to be ended.
  static constexpr std::uint32_t kPumpBusy = ~0U;
  std::uint32_t pump_begin(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                           std::span<std::byte> target) {
    if (!is_mine(entry) || !is_group(entry) || most == 0) return 0;
    auto& pump = memory_.entry(entry).pump;
    const auto seat = static_cast<std::uint16_t>(seats_.seat());
    const std::uint32_t count =
        pump_with(SeatLockHold::try_lock(pump, seat), entry, to, most, target);
    if (count != kPumpBusy || !bury_holder(pump)) return count;
    return pump_with(SeatLockHold::try_lock(pump, seat), entry, to, most, target);
  }
  // The messages before `index` are elsewhere by now; the others are for the next one.
  void pump_end(std::uint32_t entry, std::uint64_t index) {
    if (entry >= pumping_.size() || !pumping_[entry]) return;
    (void)reading_.finish(entry, index);
    stop_pumping(entry);
    sleepers_.tell_room();
  }

  // --- waiting ---

  // Waits for messages or room (kForMessages, kForTopicRoom). The caller looks once more before it sleeps, and ends with unpark().
  // To be called again after each wake-up that brought nothing.
  void park_on_bell(std::uint32_t kinds, const WakeAddress& address) noexcept {
    keeping_.rest();
    if ((kinds & ~sleepers_.kinds() & kForTopicRoom) != 0) count(layout::TopicCount::waits, 1);
    sleepers_.park_on_bell(kinds, address);
  }
  void park_on_futex(std::uint32_t kinds) noexcept {
    keeping_.rest();
    if ((kinds & ~sleepers_.kinds() & kForTopicRoom) != 0) count(layout::TopicCount::waits, 1);
    sleepers_.park_on_futex(kinds);
  }
  // After park_on_futex() and a look: until it is woken, or so long.
  void sleep(std::uint64_t timeout_ns) noexcept { seats_.sleeper().sleep(timeout_ns); }
  void unpark() noexcept {
    if (std::exchange(watching_, false)) lookouts_.leave(seats_.seat());
    sleepers_.unpark();
  }
  [[nodiscard]] bool parked() noexcept { return sleepers_.parked(); }
  [[nodiscard]] std::uint32_t kinds() const noexcept { return sleepers_.kinds(); }
  // For a handle that has just parked: is it to look for the dead every kLookMs, by look(), and come here again?
  // Whoever waits for room is: it may be kept by one that died.
  static constexpr std::uint64_t kLookMs = TopicLookouts::kLookMs;
  [[nodiscard]] bool keep_watch() {
    watching_ = lookouts_.keep_watch(os::coarse_ms(), log_.tail());
    return watching_ || (sleepers_.kinds() & kForTopicRoom) != 0;
  }
  // Blocks this thread until `ready` says so, for a slice at most (waiting.hpp).
  template <typename Ready>
  [[nodiscard]] bool wait(std::uint32_t kinds, std::uint64_t spin_ns, std::uint64_t timeout_ns,
                          Ready&& ready) {
    const bool done = sleepers_.wait_slice(kinds, spin_ns, timeout_ns, std::forward<Ready>(ready));
    if (!done) (void)look();
    return done;
  }
  // Buries who has died. Returns how many.
  std::uint32_t look() {
    const std::uint64_t now = os::coarse_ms();
    const bool all = now - asked_all_at_ >= kAskAllMs;
    if (all) asked_all_at_ = now;
    const std::uint32_t buried = all ? seats_.bury_all_dead() : seats_.bury_dead_processes();
    if (interest_->tidy()) sleepers_.tell_room();
    return buried;
  }

  // --- the rest ---

  [[nodiscard]] const TopicShape& shape() const noexcept { return seats_.shape(); }
  // What JavaScript sees of the segment: the messages.
  [[nodiscard]] const os::MappingPtr& data() const noexcept { return data_; }
  [[nodiscard]] const TopicMemory& memory() const noexcept { return memory_; }
  [[nodiscard]] TopicSeats& parties() noexcept { return seats_; }
  [[nodiscard]] const TopicSeats& parties() const noexcept { return seats_; }
  [[nodiscard]] TopicLog& log() noexcept { return log_; }
  [[nodiscard]] TopicKeeping& keeping() noexcept { return keeping_; }
  [[nodiscard]] TopicFacts facts() {
    TopicFacts facts;
    facts.subjects = memory_.subject_count();
    facts.seats = seats_.present();
    for (std::uint32_t word = 0; word < shape().row_words(); ++word) {
      const std::uint64_t live = memory_.control().live[word].load(std::memory_order_relaxed);
      facts.entries += static_cast<std::uint32_t>(std::popcount(live));
    }
    facts.index = log_.tail();
    const std::uint64_t head = log_.head();
    facts.messages = facts.index > head ? facts.index - head : 0;
    facts.granules = keeping_.arena().used();
    for (std::size_t i = 0; i < facts.counts.size(); ++i) {
      facts.counts[i] = memory_.control().counters[i].load(std::memory_order_relaxed);
      seats_.for_each_present([&](std::uint32_t seat) {
        facts.counts[i] += memory_.seat(seat).counters[i].load(std::memory_order_relaxed);
      });
    }
    return facts;
  }

  // In good order: its subscriptions end, and what it has pinned or reserved is given back.
  void close() noexcept {
    if (!seats_.open()) return;
    if (seats_.segment().intact() && begun_) {
      unpark();
      for (std::uint32_t entry = 0; entry < mine_.size(); ++entry)
        while (is_mine(entry))
          unsubscribe(entry);
      interest_->bury(seats_.seat());
      (void)keeping_.bury(seats_.seat());
      hand_over_counts(seats_.seat());
      sleepers_.tell_room();
    }
    seats_.leave([] { return false; });
  }
  void abandon() noexcept { close(); }

 private:
  TopicBus()
      : seats_([this](std::uint32_t seat) { return repair(seat); }),
        sleepers_(seats_),
        lookouts_(seats_) {}

  static constexpr std::uint64_t kAskAllMs = 1000;
  static constexpr std::uint64_t kMillisecondNs = 1'000'000;
  // Part of the log that is told of as room.
  static constexpr std::uint32_t kRoomsTold = 8;
  // For a lock whose holder has lost its core, or that others get before us. A holder that is stopped is not waited for any longer.
  static constexpr std::uint64_t kTablePatienceNs = 500'000'000;
  static constexpr std::uint64_t kTableNapNs = 200'000;

  // What needs the lock of subjects and subscriptions, tried until its holder has done, or was buried.
  template <typename Try>
  std::invoke_result_t<Try&> with_table(Try&& attempt) {
    const os::Deadline deadline = os::Deadline::after(kTablePatienceNs);
    for (;;) {
      auto done = attempt();
      if (done.ok() || done.error().code != Code::timeout || deadline.passed()) return done;
      // Asleep, so that its holder gets a core.
      if (!bury_holder(memory_.control().subjects_lock)) os::sleep_ns(kTableNapNs);
    }
  }
  std::uint32_t pump_with(SeatLockHold held, std::uint32_t entry, TopicMessage* to,
                          std::uint32_t most, std::span<std::byte> target) {
    if (!held) return kPumpBusy;
    const std::uint32_t count = reading_.peek(entry, to, most, target);
    if (count == 0) return 0;
    held.stay_locked();
    pumping_[entry] = true;
    return count;
  }
  void stop_pumping(std::uint32_t entry) noexcept {
    if (!pumping_[entry]) return;
    pumping_[entry] = false;
    (void)SeatLockHold::inherit(memory_.entry(entry).pump,
                                static_cast<std::uint16_t>(seats_.seat()));
  }
  // Whoever has that lock, if it died.
  bool bury_holder(const layout::SeatLock& lock) {
    const auto holder = SeatLockHold::holder(lock);
    if (!holder || *holder >= shape().seats || !seats_.vacant(*holder)) return false;
    const std::uint32_t seat = *holder;
    return seats_.bury({&seat, 1}) != 0;
  }

  // The messages, mapped when they are first wanted: perhaps by whoever sets up or buries, before there is a seat.
  bool map() {
    if (data_) return true;
    const TopicShape& shape = seats_.shape();
    auto mapped = seats_.segment().map_shared(shape.data_at(), shape.data_bytes());
    if (!mapped.ok()) {
      unmapped_ = mapped.error();
      return false;
    }
    data_ = mapped.take();
    memory_ = TopicMemory(seats_.segment().at<std::byte>(0), data_->data(), shape,
                          seats_.segment().instance());
    return true;
  }
  void begin() {
    const auto seat = static_cast<std::uint16_t>(seats_.seat());
    keeping_ = TopicKeeping(memory_, seat);
    log_ = TopicLog(memory_, keeping_);
    entries_ = TopicEntries(memory_, log_);
    publishing_ = TopicPublishing(memory_, seat, static_cast<std::uint32_t>(::getpid()), keeping_,
                                  log_, entries_);
    reading_ = TopicReading(memory_, keeping_, log_, entries_);
    subjects_.emplace(memory_, seat);
    interest_.emplace(memory_, seat, log_, entries_, sleepers_);
    owed_.resize(shape().subscriptions);
    mine_.resize(shape().subscriptions);
    retained_.resize(shape().subscriptions);
    rooms_owed_.resize(shape().subscriptions);
    pumping_.resize(shape().subscriptions);
    begun_ = true;
  }
  // Whatever the holder of that seat left, as SeatHolder wants it done.
  bool repair(std::uint32_t seat) {
    if (!map()) return false;
    TopicKeeping keeping(memory_, static_cast<std::uint16_t>(seat));
    TopicLog log(memory_, keeping);
    TopicEntries entries(memory_, log);
    Interest interest(memory_, static_cast<std::uint16_t>(seat), log, entries, sleepers_);
    interest.bury(seat);
    lookouts_.leave(seat);
    if (!seats_.attached(seat)) return true;
    const std::uint32_t begun = keeping.bury(seat);
    auto& counters = memory_.control().counters;
    counters[static_cast<std::size_t>(layout::TopicCount::unfinished)].fetch_add(
        begun, std::memory_order_relaxed);
    counters[static_cast<std::size_t>(layout::TopicCount::deaths)].fetch_add(
        1, std::memory_order_relaxed);
    hand_over_counts(seat);
    sleepers_.bury(seat);
    sleepers_.tell_room();
    return true;
  }
  // Whoever dies in it has counted something twice at most.
  void hand_over_counts(std::uint32_t seat) noexcept {
    auto& own = memory_.seat(seat).counters;
    for (std::size_t i = 0; i < layout::kTopicCounts; ++i) {
      const std::uint64_t more = own[i].load(std::memory_order_relaxed);
      if (more == 0) continue;
      memory_.control().counters[i].fetch_add(more, std::memory_order_relaxed);
      own[i].store(0, std::memory_order_relaxed);
    }
  }
  void count(layout::TopicCount what, std::uint64_t more) const noexcept {
    auto& counter = memory_.seat(seats_.seat()).counters[static_cast<std::size_t>(what)];
    counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_group(std::uint32_t entry) const noexcept {
    return memory_.control().entry_seats[entry].load(std::memory_order_relaxed) ==
           layout::kGroupsTopic;
  }
  [[nodiscard]] bool is_mine(std::uint32_t entry) const noexcept {
    return entry < mine_.size() && mine_[entry] != 0;
  }

  // What a look has found; whoever waits for room is told of what that made.
  std::uint32_t told(std::uint32_t entry, const TopicReading::Outcome& done) noexcept {
    if (done.moved || rooms_owed_[entry] != 0) tell_room_of(entry, done);
    return done.count;
  }
  // That entry has moved, or there is nothing for it. Who waits for room is woken only by what made some, and not for every few
  // messages: it would publish as few, and sleep again.
  //
  // Who waits for room has found the log full up to `head`, and an entry that is not beyond it. Each of its later looks, and what it
  // found before, is before (S1) in sleepers.hpp, or after the move: so whoever moves an entry over that index, and sees it wait, sees
  // that head as well, or a later one, and had the entry before it. Who has moved an entry that was beyond it has made no room.
  //
  // What was made is owed until it is an eighth of the log, or the reader finds nothing more. One that reads no more for a while
  // leaves it owed: who waits for room looks every kLookMs. So it does if the reader dies, or ends, which tell of room in any case.
  void tell_room_of(std::uint32_t entry, const TopicReading::Outcome& done) noexcept {
    sleepers_.fence();
    if (!sleepers_.anybody_waits_for_room()) [[likely]] {
      rooms_owed_[entry] = 0;  // who comes to wait looks after that
      return;
    }
    const bool shallow =
        (memory_.control().shallow[entry / 64].load(std::memory_order_relaxed) >> entry % 64 &
         1U) != 0;
    if (!shallow && done.moved && done.count != 0) {
      const std::uint64_t head = log_.head();
      if (done.from > head && rooms_owed_[entry] == 0) return;
      if (done.to < head + log_.capacity() / kRoomsTold) {
        rooms_owed_[entry] = 1;
        return;
      }
    }
    rooms_owed_[entry] = 0;
    sleepers_.tell_room();
  }

  // Before a commit while nobody looks for the dead: a sleeper of another process whom the message is for is to look, so that the message
  // does not wait where this process dies before its wake-ups. `time_ns`: where nobody is to be called, once a millisecond is enough.
  [[gnu::noinline]] void call_lookout(std::uint32_t subject, std::uint64_t time_ns) {
    if (time_ns - called_at_ < kMillisecondNs) return;
    called_at_ = time_ns;
    const auto seat = sleeper_elsewhere(subject);
    if (!seat || !lookouts_.want(os::coarse_ms())) return;
    MILLRACE_CRASH_POINT("topics.lookout.wanted");
    if (seats_.nudge(*seat) == Woken::gone) (void)seats_.bury({&*seat, 1});
    MILLRACE_CRASH_POINT("topics.lookout.called");
  }
  [[nodiscard]] std::optional<std::uint32_t> sleeper_elsewhere(std::uint32_t subject) const {
    if (subject >= memory_.subject_count()) return std::nullopt;
    const layout::TopicControl& control = memory_.control();
    std::optional<std::uint32_t> found;
    const auto judge = [&](std::uint32_t seat) {
      // relaxed: hints. One that parks now sees by the tail of the log that messages come.
      if (found || seat >= shape().seats || seats_.pid(seat) == seats_.pid(seats_.seat())) return;
      if (seats_.line(seat).parked.load(std::memory_order_relaxed) != 0) found = seat;
    };
    for (std::uint32_t word = 0; word < shape().row_words(); ++word) {
      const std::uint64_t bits = memory_.row(subject)[word].load(std::memory_order_relaxed) &
                                 control.live[word].load(std::memory_order_relaxed);
      detail::for_each_bit(bits, [&](std::uint32_t bit) {
        const std::uint32_t entry = word * 64 + bit;
        const std::uint16_t seat = control.entry_seats[entry].load(std::memory_order_relaxed);
        if (seat != layout::kGroupsTopic) return judge(seat);
        for (std::uint32_t part = 0; part < shape().seat_words(); ++part)
          detail::for_each_bit(memory_.entry(entry).members[part].load(std::memory_order_relaxed),
                               [&](std::uint32_t member) { judge(part * 64 + member); });
      });
    }
    return found;
  }

  // A message of that subject is in the log: wakes who is interested in it and asleep. Returns how many are interested.
  std::uint32_t announce(std::uint32_t subject) {
    sleepers_.fence();
    const layout::TopicControl& control = memory_.control();
    const std::atomic<std::uint64_t>* const row = memory_.row(subject);
    std::uint32_t matched = 0;
    for (std::uint32_t word = 0; word < shape().row_words(); ++word) {
      // relaxed, both: after the commit and the fence; against (J1) and (J2) in entries.hpp.
      const std::uint64_t bits = row[word].load(std::memory_order_relaxed) &
                                 control.live[word].load(std::memory_order_relaxed);
      matched += static_cast<std::uint32_t>(std::popcount(bits));
      detail::for_each_bit(bits, [&](std::uint32_t bit) {
        const std::uint32_t entry = word * 64 + bit;
        const std::uint16_t seat = control.entry_seats[entry].load(std::memory_order_relaxed);
        if (seat == layout::kGroupsTopic) [[unlikely]]
          wake_members(entry);
        else
          sleepers_.wake(seat);
      });
    }
    count(layout::TopicCount::published, 1);
    count(layout::TopicCount::matched, matched);
    if (sleepers_.has_found_dead()) [[unlikely]] {
      const auto dead = sleepers_.found_dead();
      (void)seats_.bury({&*dead, 1});
    }
    return matched;
  }
  void wake_members(std::uint32_t entry) noexcept {
    for (std::uint32_t word = 0; word < shape().seat_words(); ++word) {
      const std::uint64_t bits = memory_.entry(entry).members[word].load(std::memory_order_relaxed);
      detail::for_each_bit(bits, [&](std::uint32_t bit) { sleepers_.wake(word * 64 + bit); });
    }
  }

  TopicSeats seats_;
  TopicSleepers sleepers_;
  TopicLookouts lookouts_;
  std::optional<Error> unmapped_;
  os::MappingPtr data_;
  TopicMemory memory_;
  TopicKeeping keeping_;
  TopicLog log_;
  TopicEntries entries_;
  TopicPublishing publishing_;
  TopicReading reading_;
  std::optional<Subjects> subjects_;
  std::optional<Interest> interest_;
  std::vector<std::uint64_t>
      owed_;  // of each entry: what its reader has not been told yet of what was missed
  std::vector<std::uint32_t> mine_;  // of each entry: how often this handle has it
  std::vector<TopicRetained> retained_;
  std::vector<std::uint8_t> rooms_owed_;  // of each entry: it has made room, and told nobody
  std::vector<bool>
      pumping_;  // of each entry: this handle has its lock, between pump_begin() and pump_end()
  std::uint64_t asked_all_at_ = 0;
  std::uint64_t called_at_ = 0;  // a lookout, in vain or not; real time
  bool watching_ = false;
  bool begun_ = false;
};

}  // namespace millrace
