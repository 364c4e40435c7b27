// Hints: bits that say where looking is worth while. The words of the slots are the truth, and a hint may be set for nothing;
// what must never be is a word that has something and no hint that leads to it.
//
//   who sets      (H1) the word says so        who clears   (C1) finds nothing
//                 (H2) bit, if it is clear                  (C2) clears the bit
//                                                           (C3) looks again, and sets it if there is something
//
// (H1) (H2) (C2) (C3) are sequentially consistent: either (H2) comes after (C2) and sets the bit, or it saw the bit that (C2)
// is about to clear, and then (H1) comes before (C3), which finds what it says. Where there are bits above bits (a mask of
// levels above a set of slots), whoever sets a bit sets every one above it afterwards, also in (C3): the one who cleared the
// upper bit may have looked in between.
#pragma once

#include <atomic>
#include <type_traits>

#include "../crash_point.hpp"

namespace millrace::detail {

// (H2)
template <typename Bits>
void set_hint(std::atomic<Bits>& word, std::type_identity_t<Bits> bit) noexcept {
  if ((word.load(std::memory_order_seq_cst) & bit) == 0) {
    word.fetch_or(bit, std::memory_order_seq_cst);
  }
}

// (C2) and (C3). `look` says whether there is something after all, by sequentially consistent loads; `restore` sets the bits
// above. Returns what `look` found.
template <typename Bits, typename Look, typename Restore>
bool clear_hint(std::atomic<Bits>& word, std::type_identity_t<Bits> bit, Look&& look,
                Restore&& restore) noexcept {
  word.fetch_and(static_cast<Bits>(~bit), std::memory_order_seq_cst);
  MILLRACE_CRASH_POINT("work.hint.cleared");
  if (!look()) return false;
  word.fetch_or(bit, std::memory_order_seq_cst);
  restore();
  return true;
}

}  // namespace millrace::detail
