// Topics: many processes publish messages under subjects, and many subscribe to some of them. One handle: its seat, its sleep, what
// it publishes and what it reads. The log is in log.hpp, slots and what keeps them in slots.hpp, positions in entries.hpp, subjects
// in subjects.hpp, who wants which of them in interest.hpp, who is on the topics in seats.hpp.
//
// A handle is used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "../os/clock.hpp"
#include "../os/mapping.hpp"
#include "../result.hpp"
#include "../waiting.hpp"
#include "facts.hpp"
#include "memory.hpp"
#include "shape.hpp"

namespace millrace {

class TopicSeats;

class TopicBus {
 public:
  // no_lane: all seats are taken. geometry: there are topics with other properties than those stated.
  static Result<std::unique_ptr<TopicBus>> open(const TopicSpec& spec,
                                                const os::Deadline& deadline);
  TopicBus(const TopicBus&) = delete;
  TopicBus& operator=(const TopicBus&) = delete;
  ~TopicBus();

  // --- subjects ---

  // Its number, for as long as there are these topics. It is made if it is not known. no_lane: there are as many as there may be;
  // invalid_argument: that is no subject; timeout: somebody is in the middle of making one, try again.
  Result<std::uint32_t> subject(std::string_view text);
  // Of a number that was got from here; empty if there is none.
  [[nodiscard]] std::string subject_text(std::uint32_t subject) const;

  // --- publish ---

  // `matched`: the number of subscribers that it was for.
  [[nodiscard]] Published try_publish(std::uint32_t subject, std::span<const std::byte> payload,
                                      std::span<const std::byte> headers, std::uint32_t& matched);
  // A place to write in, for a payload of so many bytes and so many of headers.
  [[nodiscard]] Published reserve(std::uint32_t subject, std::uint64_t bytes, std::uint64_t headers,
                                  TopicLoan& loan);
  // What was written there becomes a message of so many bytes. Unless the answer is `yes` the place is still the caller's.
  [[nodiscard]] Published publish(TopicLoan& loan, std::uint64_t length,
                                  std::span<const std::byte> headers, std::uint32_t& matched);
  void cancel(TopicLoan& loan);

  // --- subscriptions ---

  // The number of its entry. no_lane: there are as many as there may be; invalid_argument: no such filter.
  Result<std::uint32_t> subscribe(std::span<const std::string_view> filters,
                                  const SubscribeOptions& options);
  void unsubscribe(std::uint32_t entry);

  // The next messages of that entry, `most` at most. Small ones are copied to `target` as long as there is room in it. With
  // `in_place` those that lie in granules are pinned instead, as long as there are pins, and to be released. Returns how many.
  std::uint32_t read(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                     std::span<std::byte> target, bool in_place);
  void release(std::uint32_t pin);
  // May there be a message for that entry?
  [[nodiscard]] bool ready(std::uint32_t entry) const;
  // The size of the next message of that entry, headers included, rounded up to 8; 0: there is none now.
  [[nodiscard]] std::uint64_t next_bytes(std::uint32_t entry) const;

  // --- queue groups ---

  // Begins to move the next messages of a group's entry elsewhere: as read(), copies alone, and they stay where they are until
  // pump_end(). Whoever dies in between leaves them to the next one, who may find them moved already. kPumpBusy: another member is
  // at it, and lives. Of 0 messages nothing is to be ended.
  static constexpr std::uint32_t kPumpBusy = ~0U;
  std::uint32_t pump_begin(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                           std::span<std::byte> target);
  // The messages before `index` are elsewhere by now; the others are for the next one.
  void pump_end(std::uint32_t entry, std::uint64_t index);

  // --- waiting ---

  // Waits for messages or room (kForMessages, kForTopicRoom). The caller looks once more before it sleeps, and ends with unpark().
  // To be called again after each wake-up that brought nothing.
  void park_on_bell(std::uint32_t kinds, const WakeAddress& address) noexcept;
  void park_on_futex(std::uint32_t kinds) noexcept;
  void unpark() noexcept;
  [[nodiscard]] bool parked() noexcept;
  // After park_on_futex(): until it is woken, or so long.
  void sleep(std::uint64_t timeout_ns) noexcept;
  // For a handle that has just parked: is it to look for the dead every 20 ms, by look(), and come here again?
  [[nodiscard]] bool keep_watch();
  static constexpr std::uint64_t kLookMs = 20;
  // Buries who has died. Returns how many.
  std::uint32_t look();

  // --- the rest ---

  [[nodiscard]] const TopicShape& shape() const noexcept;
  // What JavaScript sees of the segment: the messages.
  [[nodiscard]] const os::MappingPtr& data() const noexcept;
  [[nodiscard]] TopicFacts facts() const;
  // Who is on the topics: the segment, the doorbell, the sleeper of this handle.
  [[nodiscard]] TopicSeats& parties() noexcept;
  void close() noexcept;
  void abandon() noexcept { close(); }

 private:
  TopicBus();
};

}  // namespace millrace
