// The texts of errors: a few for all slots, since few jobs fail. Whose a note is stands in its owner word, as with a granule;
// one whose job is gone is free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "memory.hpp"

namespace millrace {

class Notes {
 public:
  Notes() = default;
  explicit Notes(const WorkMemory& memory) noexcept : memory_(&memory) {}

  // Keeps the text for the job of that slot, which the caller holds: what fits, cut between characters. False: there was no
  // place for it.
  bool write(std::uint32_t slot, std::string_view text) noexcept {
    layout::Slot& its = memory_->slot(slot);
    const std::uint32_t born = its.born.load(std::memory_order_relaxed);
    std::uint32_t index = its.note == 0 ? kNone : its.note - 1U;
    if (index >= memory_->shape().notes() || !owned(index, slot, born)) index = claim(slot, born);
    if (index == kNone) return false;
    layout::Note& note = memory_->note(index);
    std::size_t length = std::min(text.size(), note.text.size());
    while (length > 0 && length < text.size() &&
           (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U)
      --length;
    note.length = 0;
    std::memcpy(note.text.data(), text.data(), length);
    note.length = static_cast<std::uint32_t>(length);
    its.note = static_cast<std::uint16_t>(index + 1);
    return true;
  }
  [[nodiscard]] std::string read(std::uint32_t slot) const {
    const layout::Slot& its = memory_->slot(slot);
    const std::uint32_t index = its.note - 1U;
    if (its.note == 0 || index >= memory_->shape().notes() ||
        !owned(index, slot, its.born.load(std::memory_order_relaxed)))
      return {};
    const layout::Note& note = memory_->note(index);
    return std::string(note.text.data(), std::min<std::size_t>(note.length, note.text.size()));
  }

 private:
  static constexpr std::uint32_t kNone = ~0U;
  // What a Slot can name.
  [[nodiscard]] std::uint32_t count() const noexcept {
    return std::min<std::uint32_t>(memory_->shape().notes(), 0xFFFE);
  }
  [[nodiscard]] bool owned(std::uint32_t index, std::uint32_t slot,
                           std::uint32_t born) const noexcept {
    return memory_->note(index).owner.load(std::memory_order_acquire) ==
           layout::granule_owner(slot, born, 0);
  }
  std::uint32_t claim(std::uint32_t slot, std::uint32_t born) noexcept {
    for (std::uint32_t i = 0; i < count(); ++i, cursor_ = (cursor_ + 1) % count()) {
      auto& owner = memory_->note(cursor_).owner;
      std::uint64_t found = owner.load(std::memory_order_relaxed);
      if (!is_free(found)) continue;
      // acquire: pairs with the release of the one who had it.
      if (owner.compare_exchange_strong(found, layout::granule_owner(slot, born, 0),
                                        std::memory_order_acq_rel))
        return cursor_;
    }
    return kNone;
  }
  [[nodiscard]] bool is_free(std::uint64_t owner) const noexcept {
    if (owner == 0) return true;
    const auto slot = static_cast<std::uint32_t>(owner >> 12U & ((1U << layout::kSlotBits) - 1));
    if (slot >= memory_->shape().slots()) return true;
    const layout::Slot& its = memory_->slot(slot);
    const auto state = layout::unpack(its.word.load(std::memory_order_acquire)).state;
    return state == layout::SlotState::free || state == layout::SlotState::spare ||
           its.born.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(owner >> 32U);
  }

  const WorkMemory* memory_ = nullptr;
  std::uint32_t cursor_ = 0;
};

}  // namespace millrace
