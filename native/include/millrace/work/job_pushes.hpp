// Pushing: a place for a payload, and the job that it becomes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "job_times.hpp"
#include "regions.hpp"

namespace millrace {

class JobPushes : public JobTimes {
 public:
  using JobTimes::JobTimes;

  // The largest payload there can be.
  [[nodiscard]] std::uint64_t largest() const noexcept {
    const std::uint64_t whole = std::min<std::uint64_t>(
        memory_.shape().bytes / layout::kGranuleBytes * layout::kGranuleBytes,
        std::uint64_t{regions_.pushed().below} * layout::kGranuleBytes);
    const std::uint64_t head = memory_.shape().head_bytes();
    return std::max<std::uint64_t>(whole > head ? whole - head : 0, memory_.shape().inline_most());
  }
  // A place for that many bytes, and for `tail` bytes behind them (id, group, headers).
  [[nodiscard]] Pushed reserve(std::uint64_t bytes, std::uint64_t tail, Loan& loan) noexcept {
    const std::uint64_t all = tail == 0 ? bytes : (bytes + 7) / 8 * 8 + tail;
    if (bytes > largest() || all > largest() || bytes > 0xFFFF'FFFFU) return Pushed::too_large;
    auto claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim && sweep(os::monotonic_ns()) != 0)
      claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim) return refused();
    if (pressure_ != 0) --pressure_;
    layout::Slot& slot = memory_.slot(claim->slot);
    const std::uint32_t born = claim->word.token;
    // Before its birth: with it the number is its own (order.hpp).
    settle_on(slot.serial, 0);
    // release: who judges granules of this job (arena.hpp) sees it with them.
    slot.born.store(born, std::memory_order_release);
    slot.acquired = 0;
    slot.note = 0;
    slot.reason = 0;
    slot.granules.store(0, std::memory_order_relaxed);
    settle_on(slot.group, 0);
    settle_on(slot.forward, 0);
    settle_on(slot.forward_queue, 0);
    settle_on(slot.key_home, 0);
    settle_on(slot.lease_end, 0);
    loan = Loan{claim->slot, layout::pack(claim->word), 0, memory_.shape().inline_most(), 0, 0};
    if (all > memory_.shape().inline_most() || records_.on()) {
      const std::uint64_t head = memory_.shape().head_bytes();
      loan.granules = static_cast<std::uint32_t>((head + all + layout::kGranuleBytes - 1) /
                                                 layout::kGranuleBytes);
      const auto first =
          arena_.claim(loan.slot, born, loan.granules, {0, 0, regions_.pushed().below});
      if (arena_.disturbed()) stirred_ |= kRoom;
      if (!first) {
        loan.granules = 0;
        cancel(loan);
        return Pushed::full_bytes;
      }
      loan.granule = *first;
      loan.room = std::uint64_t{loan.granules} * layout::kGranuleBytes - head;
      slot.granule.store(loan.granule, std::memory_order_relaxed);
      slot.granules.store(loan.granules, std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("work.push.room");
    }
    loan.at = memory_.payload_at(loan.slot, loan.granules, loan.granule);
    return Pushed::yes;
  }
  // Gives the place back.
  void cancel(Loan& loan) noexcept {
    if (!loan) return;
    end_word(loan.slot, loan.word, loan.granule, loan.granules);
    loan = Loan{};
  }
  // What has been written to the place becomes a job: `length` bytes of payload. `options` are judged: a level and a stage
  // that there are, a tail that has room. The place is gone afterwards, unless the answer is `busy` (somebody is pushing the
  // same id, or changes the same group) or `full` (there are as many groups as there may be).
  [[nodiscard]] Pushed push(Loan& loan, std::uint64_t length, const PushOptions& options) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    layout::Word word;
    if (const Pushed told = describe(loan, length, options, word); told != Pushed::yes) return told;
    bool waits = false;
    if (!options.group.empty()) {
      const Pushed entered = enter_group(loan.slot, word, options.group, waits);
      if (entered != Pushed::yes) {
        if (!options.id.empty()) keys_.cancel(slot.key_home, loan.slot, word.token);
        return entered;
      }
    }
    if (waits) {
      // It comes when the job before it has gone.
    } else if (options.delay_ns != 0) {
      word.state = layout::SlotState::delayed;
      // seq_cst: as DueTimes::set() wants it.
      slot.word.store(layout::pack(word), std::memory_order_seq_cst);
      due_.set(loan.slot, slot.due.load(std::memory_order_relaxed));
      stirred_ |= 1U << options.stage;  // who sleeps may have to wake up earlier
    } else {
      publish(loan.slot, word, options.stage);
    }
    if (options.ttl_ns != 0) due_.set(loan.slot, slot.expires.load(std::memory_order_relaxed));
    count(own_->pushed);
    loan = Loan{};
    return Pushed::yes;
  }
  // May there be room for a job, or a result?
  [[nodiscard]] bool any_room() const noexcept {
    if (memory_.shape().stages > 1) return true;  // a result has its slot
    for (std::uint32_t word = 0; word < (memory_.shape().slot_words() + 63) / 64; ++word) {
      if (memory_.free_groups()[word].load(std::memory_order_seq_cst) != 0) return true;
    }
    return false;
  }

 protected:
  // Of what is the same for one job as for the next, which is the second line of most slots: who reads it need not fetch again
  // what nobody has written. relaxed: of the holder of the slot.
  template <typename T>
  static void settle_on(std::atomic<T>& field, std::type_identity_t<T> value) noexcept {
    if (field.load(std::memory_order_relaxed) != value)
      field.store(value, std::memory_order_relaxed);
  }
  template <typename T>
  static void settle_on(T& field, std::type_identity_t<T> value) noexcept {
    if (field != value) field = value;
  }
  // All that a job is but its state, from what has been written to its place. `word`: what its word will be. Anything but
  // `yes`: as of push().
  Pushed describe(Loan& loan, std::uint64_t length, const PushOptions& options,
                  layout::Word& word) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    write_tail(loan, length, options);
    std::uint64_t now = 0;
    if ((options.delay_ns | options.ttl_ns) != 0 || !options.id.empty()) now = os::monotonic_ns();
    word = layout::unpack(loan.word);
    word.level = options.level;
    if (!options.id.empty() && keys_.enabled()) {
      const Pushed known = enter_id(loan, options.id, now);
      if (known != Pushed::yes) return known;
      word.flags = layout::kConfirmed;  // from its word on: the next push of this id is told so
    }
    slot.length = static_cast<std::uint32_t>(length);
    slot.stage.store(options.stage, std::memory_order_relaxed);
    settle_on(slot.expires, options.ttl_ns == 0 ? 0 : later(now, options.ttl_ns));
    slot.due.store(options.delay_ns == 0 ? 0 : later(now, options.delay_ns),
                   std::memory_order_relaxed);
    const bool put_off = !options.group.empty() || options.delay_ns != 0 || records_.on();
    if (put_off) {
      slot.position.store(ready_.end_of(options.stage, options.level), std::memory_order_relaxed);
    }
    // Where there is an order, jobs of a group are numbered when they come into it.
    if (order_.on() ? options.group.empty() : put_off) give_serial(loan.slot);
    slot.pushed_at =
        layout::pushed_at(os::real_ns(), records_.on() ? slot.serial.load(std::memory_order_relaxed)
                                                       : slot.born.load(std::memory_order_relaxed));
    if (records_.on()) {
      layout::Word next = word;
      next.state = options.delay_ns != 0 ? layout::SlotState::delayed : layout::SlotState::ready;
      records_.write(loan.slot, next);
    }
    MILLRACE_CRASH_POINT("work.push.written");
    return Pushed::yes;
  }
  // Was a job of that id pushed lately?
  Pushed enter_id(Loan& loan, std::string_view id, std::uint64_t now) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    const IdHash hash = id_hash(id, seed_, kIds);
    slot.key_home = keys_.home(hash);  // for whoever buries us
    const Keys::Found found = keys_.look_up(hash, loan.slot, layout::unpack(loan.word).token, now,
                                            later(now, memory_.shape().window_ms * 1'000'000),
                                            [this](std::uint32_t other, std::uint32_t born) {
                                              if (other >= memory_.shape().slots()) return true;
                                              const layout::Word word = word_of(other);
                                              // What is promised is no job yet, and may never be one.
                                              return (word.state != layout::SlotState::writing &&
                                                      word.state != layout::SlotState::promised) ||
                                                     word.token != born;
                                            });
    if (found.dropped) add(layout::WorkCount::keys_dropped);
    if (found.answer == Keys::Answer::busy) return Pushed::busy;
    if (found.answer == Keys::Answer::fresh) return Pushed::yes;
    cancel(loan);
    add(layout::WorkCount::duplicates);
    return Pushed::duplicate;
  }
  void write_tail(const Loan& loan, std::uint64_t length,
                  const PushOptions& options) const noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    slot.id_length = static_cast<std::uint16_t>(options.id.size());
    slot.group_length = static_cast<std::uint16_t>(options.group.size());
    slot.headers_length = static_cast<std::uint32_t>(options.headers.size());
    if (options.tail_bytes() == 0) return;
    std::byte* at = memory_.data() + loan.at + (length + 7) / 8 * 8;
    const auto append = [&at](const void* from, std::size_t bytes) {
      if (bytes != 0) std::memcpy(at, from, bytes);
      at += bytes;
    };
    append(options.id.data(), options.id.size());
    append(options.group.data(), options.group.size());
    append(options.headers.data(), options.headers.size());
  }
  Regions regions_{memory_.shape()};

 private:
  // So many pauses, about a microsecond: in which workers free several slots.
  static constexpr std::uint32_t kPauses = 64;
  static constexpr std::uint32_t kPressure = 64;

  // There is no slot. Whoever asks again at once, and gets each one as it becomes free, looks through all that are around it
  // for the next, and takes the lines of the jobs there away from the workers that come to them.
  Pushed refused() noexcept {
    for (std::uint32_t i = 0; pressure_ != 0 && i < kPauses; ++i)
      os::spin_hint();
    pressure_ = kPressure;
    return Pushed::full;
  }

  std::uint32_t pressure_ = 0;  // 0: none of the last kPressure pushes was refused
};

}  // namespace millrace
