// The victims of `npm run chaos` that publish on a bus, or subscribe there. topics-arena.ts says what their survivors check.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <millrace/millrace.hpp>
#include <millrace/topics/topic_bus.hpp>

#include "content.hpp"
#include "victim.hpp"

namespace victims {

inline std::unique_ptr<TopicBus> bus_of(const Part& part) {
  TopicSpec spec;
  spec.place = Place(part.name);
  spec.doorbell = part.bell;
  return opened([&] { return TopicBus::open(spec, part.patience()); });
}

// By copy, or by a loan, of which some are given up.
inline Published publish_number(Part& part, TopicBus& bus, std::uint32_t subject,
                                std::uint64_t number) {
  std::vector<std::byte> content(length_of(number));
  fill(content.data(), number, length_of(number));
  std::uint32_t matched = 0;
  if (number % 3 != 0) return bus.try_publish(subject, content, {}, matched);
  TopicLoan loan;
  Published done = bus.reserve(subject, content.size(), 0, loan);
  if (done != Published::yes) return done;
  fill(bus.data()->data() + loan.at, number, length_of(number));
  part.pause();
  if (part.random.below(8) != 0)
    done = bus.publish(loan, content.size(), {}, matched);
  else
    done = Published::full;
  bus.cancel(loan);
  return done;
}

inline void publish_numbers(Part& part) {
  const auto bus = bus_of(part);
  std::uint32_t subject = 0;
  while (true) {
    auto made = bus->subject("victim.numbers");
    if (made.ok()) {
      subject = made.value();
      break;
    }
    EXPECT(made.error().code == Code::timeout);
  }
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t number = ledger->base.load() + 1;
    ledger->trying.store(number);
    Published done = Published::full;
    while (done == Published::full || done == Published::busy) {
      (void)bus->wait(kForTopicRoom, 0, 20 * kMillisecond, [&] {
        done = publish_number(part, *bus, subject, number);
        return done == Published::yes;
      });
    }
    EXPECT(done == Published::yes);
    ledger->done.store(number);
    ledger->base.store(number);
    part.pause();
  }
}

// Numbers come in their order; all of them, but for those that it is told of.
inline void follow_numbers(Part& part, layout::TopicPolicy policy) {
  const auto bus = bus_of(part);
  SubscribeOptions options;
  options.policy = policy;
  options.replay.last = part.random.below(3) == 0;
  if (!options.replay.last && part.random.below(2) == 0) options.replay.newest = 5;
  const std::array<std::string_view, 2> filters{"survivor.*", "nobody.>"};
  auto joined = bus->subscribe(filters, options);
  if (!joined.ok()) {
    EXPECT(joined.error().code == Code::no_lane || joined.error().code == Code::timeout);
    return;
  }
  const std::uint32_t entry = joined.value();
  ledger->holding.store(policy == layout::TopicPolicy::wait ? 1 : 0);
  std::array<TopicMessage, 4> messages;
  std::vector<std::byte> target(4096);
  std::uint64_t last = 0;
  for (int i = 0; i < 2000; ++i) {
    const bool in_place = part.random.below(2) == 0;
    std::uint32_t count = 0;
    (void)bus->wait(kForMessages, 0, 20 * kMillisecond, [&] {
      count = bus->read(entry, messages.data(),
                        1 + static_cast<std::uint32_t>(part.random.below(4)), target, in_place);
      return count != 0;
    });
    for (const TopicMessage& message : std::span(messages).first(count)) {
      const bool copied = message.pin == TopicMessage::kCopied;
      const std::byte* const at = (copied ? target.data() : bus->data()->data()) + message.at;
      if (!copied) part.pause();
      const std::uint64_t number = number_in(at, message.length);
      EXPECT(number != 0);
      EXPECT(last == 0 || number == last + 1 + message.missed);
      EXPECT(policy != layout::TopicPolicy::wait || message.missed == 0);
      last = number;
      if (!copied) bus->release(message.pin);
      ledger->turns.fetch_add(1);
    }
    part.pause();
  }
  ledger->holding.store(0);
}

}  // namespace victims
