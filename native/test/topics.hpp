// What tests of topics share: handles, publishing and reading numbers.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/topics/topic_bus.hpp>

#include "fixture.hpp"

namespace millrace::test::topics {

inline TopicSpec spec_of(const std::string& name, std::uint32_t messages = 64) {
  TopicSpec spec;
  spec.place = name;
  spec.seats = 16;
  spec.subscriptions = 32;
  spec.subjects = 64;
  spec.messages = messages;
  spec.bytes = 64 * 1024;
  return spec;
}
using Bus = std::unique_ptr<TopicBus>;
inline Bus open(const TopicSpec& spec) {
  return must(TopicBus::open(spec, soon()));
}

inline std::uint32_t join(TopicBus& bus, std::vector<std::string_view> filters,
                          const SubscribeOptions& options = {}) {
  return must(bus.subscribe(filters, options));
}
inline SubscribeOptions overwriting() {
  SubscribeOptions options;
  options.policy = layout::TopicPolicy::overwrite;
  return options;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
// How many it was for; nothing if there was no room.
inline std::optional<std::uint32_t> publish(TopicBus& bus, std::string_view subject,
                                            std::string_view payload,
                                            std::string_view headers = {}) {
  std::uint32_t matched = 0;
  const auto id = bus.subject(subject);
  if (!id.ok()) return std::nullopt;
  const Published done = bus.try_publish(id.value(), bytes_of(payload), bytes_of(headers), matched);
  return done == Published::yes ? std::optional<std::uint32_t>(matched) : std::nullopt;
}
inline std::optional<std::uint32_t> publish(TopicBus& bus, std::string_view subject,
                                            std::uint64_t number) {
  char bytes[8];
  std::memcpy(bytes, &number, 8);
  return publish(bus, subject, std::string_view(bytes, 8));
}

struct Got {
  std::uint64_t index = 0;
  std::uint64_t missed = 0;
  std::uint32_t subject = 0;
  std::string payload;
  std::string headers;

  [[nodiscard]] std::uint64_t number() const {
    std::uint64_t number = ~0ULL;
    if (payload.size() >= 8) std::memcpy(&number, payload.data(), 8);
    return number;
  }
};
inline std::optional<Got> read(TopicBus& bus, std::uint32_t entry) {
  std::vector<std::byte> target(bus.next_bytes(entry));
  TopicMessage message;
  if (bus.read(entry, &message, 1, target, false) != 1) return std::nullopt;
  const char* const at = reinterpret_cast<const char*>(target.data());
  return Got{message.index, message.missed, message.subject,
             std::string(at + message.at, message.length),
             std::string(at + (message.headers_length == 0 ? 0 : message.headers_at()),
                         message.headers_length)};
}
inline std::vector<Got> read_all(TopicBus& bus, std::uint32_t entry) {
  std::vector<Got> all;
  while (auto got = read(bus, entry))
    all.push_back(*got);
  return all;
}
inline std::string payloads(const std::vector<Got>& all) {
  std::string text;
  for (const Got& got : all)
    text += got.payload;
  return text;
}
inline std::uint64_t counted(TopicBus& bus, layout::TopicCount what) {
  return bus.facts().counts[static_cast<std::size_t>(what)];
}
// Slots that are not free.
inline std::uint32_t slots_in_use(const TopicBus& bus) {
  std::uint32_t used = 0;
  for (std::uint32_t slot = 0; slot < bus.shape().slots(); ++slot) {
    const auto word = layout::unpack_topic(bus.memory().slot(slot).word.load());
    used += word.state != layout::TopicSlotState::free ? 1 : 0;
  }
  return used;
}

// Nobody else is at work. Is each slot free, or kept for a reason, and each granule of a message that is kept? Says what is wrong.
inline std::string unaccounted(TopicBus& bus) {
  const TopicMemory& memory = bus.memory();
  std::uint32_t granules = 0;
  for (std::uint32_t slot = 0; slot < bus.shape().slots(); ++slot) {
    const layout::TopicSlot& its = memory.slot(slot);
    const auto word = layout::unpack_topic(its.word.load());
    const std::uint64_t index = its.index.load();
    const std::uint32_t subject = its.subject.load();
    const bool in_log =
        memory.cell(index).load() == bus.keeping().full_cell(index, slot, word.token);
    const bool last = subject < memory.subject_count() &&
                      memory.subject(subject).last.load() == layout::last_message(index, slot);
    const bool is_free = word.state == layout::TopicSlotState::free;
    if (!is_free) granules += its.granules.load();
    if (is_free && (in_log || last)) return "a free slot is used: " + std::to_string(slot);
    if (!is_free && !in_log && !last) return "a slot is kept for nothing: " + std::to_string(slot);
    // Who evicts may die between the two steps. That is the next one to go.
    if (in_log && word.state != layout::TopicSlotState::held && index != bus.log().head())
      return "a message in the log is said to be evicted: " + std::to_string(slot);
  }
  for (std::uint32_t subject = 0; subject < memory.subject_count(); ++subject) {
    const std::uint64_t last = memory.subject(subject).last.load();
    const std::uint32_t slot = layout::slot_of_last(last);
    if (slot == layout::kNoTopicSlot) continue;
    const layout::TopicSlot& its = memory.slot(slot);
    if (layout::unpack_topic(its.word.load()).state == layout::TopicSlotState::free ||
        its.index.load() + 1 != layout::number_of_last(last) || its.subject.load() != subject) {
      return "the last message of a subject is another one: " + std::to_string(subject);
    }
  }
  if (granules != bus.facts().granules) return "granules belong to nothing";
  return {};
}

}  // namespace millrace::test::topics
