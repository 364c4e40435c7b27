// What the rows of subjects must say, by the definition.
#pragma once

#include <string>

#include "topics.hpp"

namespace millrace::test::topics {

// Of a quiet bus: the bit of a live entry is set for what its filters mean, and no other one is. What is wrong, or nothing.
inline std::string rows_wrong(const TopicBus& bus) {
  const TopicMemory& memory = bus.memory();
  for (std::uint32_t subject = 0; subject < memory.subject_count(); ++subject) {
    const std::string text = bus.subject_text(subject);
    for (std::uint32_t entry = 0; entry < bus.shape().row_words() * 64; ++entry) {
      bool wanted = false;
      if (entry < bus.shape().subscriptions) {
        const auto info = layout::unpack_entry(memory.entry(entry).info.load());
        wanted = info.state == layout::EntryState::live &&
                 detail::FilterTexts(memory, entry).match(text);
      }
      const bool said = (memory.row(subject)[entry / 64].load() >> entry % 64 & 1U) != 0;
      if (said != wanted)
        return "the bit of entry " + std::to_string(entry) + " in the row of '" + text + "'";
    }
  }
  return {};
}

}  // namespace millrace::test::topics
