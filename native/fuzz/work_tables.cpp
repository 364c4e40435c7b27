// The tables of a work queue, on two seats, over slots, owners, entries and locks that lie.
#include <memory>

#include <millrace/store/arena.hpp>
#include <millrace/work/groups.hpp>
#include <millrace/work/keys.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;
using layout::SlotState;

namespace {

constexpr std::uint32_t kSlots = 12;
constexpr std::uint32_t kGranules = 72;
constexpr std::uint32_t kBuckets = 2;
constexpr std::uint16_t kSeats = 2;

// All that is shared.
struct Tables {
  std::atomic<std::uint64_t> owners[kGranules];
  layout::KeyBucket keys[kBuckets];
  layout::GroupBucket groups[kBuckets];
  layout::Slot slots[kSlots];
  std::atomic<std::uint64_t> serial;
};

class Story {
 public:
  explicit Story(Input& input) : input_(input), tables_(std::make_unique<Tables>()) {
    if (input.flag()) {  // nothing but nonsense
      auto* const bytes = reinterpret_cast<std::byte*>(tables_.get());
      const auto with = input.bytes(256);
      for (std::size_t i = 0; !with.empty() && i < sizeof(Tables); ++i)
        bytes[i] = static_cast<std::byte>(with[i % with.size()]);
    }
    for (std::uint16_t seat = 0; seat < kSeats; ++seat) {
      arenas_[seat] = Arena(tables_->owners, kGranules, seat * 30U);
      keys_[seat] = Keys(tables_->keys, kBuckets, seat);
      groups_[seat] =
          Groups(tables_->groups, kBuckets, tables_->slots, kSlots, tables_->serial, seat);
    }
  }

  void tell() {
    auto* const base = reinterpret_cast<std::byte*>(tables_.get());
    Liar liar(base, sizeof(Tables),
              {{0, kGranules},
               {offsetof(Tables, keys), 12},  // locks, and the first entries
               {offsetof(Tables, keys) + sizeof(layout::KeyBucket), 12},
               {offsetof(Tables, groups), 12},
               {offsetof(Tables, groups) + sizeof(layout::GroupBucket), 12},
               {offsetof(Tables, slots), 16 * kSlots}});
    std::optional<Storm> storm;
    weather(storm, liar, input_);
    for (int steps = 0; steps < 100 && !input_.over(); ++steps) {
      const std::size_t seat = input_.below(kSeats);
      const auto slot = static_cast<std::uint32_t>(input_.below(kSlots));
      switch (input_.below(8)) {
        case 0:
        case 1:
          liar.lie(input_);
          break;
        case 2:
          payload(arenas_[seat], slot);
          break;
        case 3:
        case 4:
          push(seat, slot);
          break;
        case 5:
          end(seat, slot);
          break;
        case 6:
          bury(seat);
          break;
        default:
          look(seat);
      }
    }
  }

 private:
  [[nodiscard]] layout::Word word_of(std::uint32_t slot) const {
    return layout::unpack(tables_->slots[slot].word.load());
  }
  bool change(std::uint32_t slot, SlotState from, SlotState to) {
    std::uint64_t bits = tables_->slots[slot].word.load();
    layout::Word word = layout::unpack(bits);
    if (word.state != from) return false;
    word.state = to;
    return tables_->slots[slot].word.compare_exchange_strong(bits, layout::pack(word));
  }
  auto activate() {
    return [this](std::uint32_t slot) {
      insist(slot < kSlots, "a slot that there is gets its turn");
      (void)change(slot, SlotState::grouped, SlotState::ready);
    };
  }
  auto is_pushed() {
    return [this](std::uint32_t slot, std::uint32_t born) {
      return slot >= kSlots || word_of(slot).state != SlotState::writing ||
             word_of(slot).token != born;
    };
  }

  void payload(Arena& arena, std::uint32_t slot) {
    const auto granules = static_cast<std::uint32_t>(input_.below(kGranules + 2));
    const std::uint32_t born = word_of(slot).token;
    if (input_.flag()) {
      // What a slot says, which may be anything.
      arena.give_back(slot, born, tables_->slots[slot].granule.load(),
                      tables_->slots[slot].granules.load());
      return;
    }
    const auto first = arena.claim(slot, born, granules);
    if (!first) return;
    insist(granules != 0 && *first < kGranules && granules <= kGranules - *first,
           "memory that there is");
    tables_->slots[slot].granule.store(*first);
    tables_->slots[slot].granules.store(granules);
  }
  void push(std::size_t seat, std::uint32_t slot) {
    layout::Word word = word_of(slot);
    word.state = SlotState::writing;
    ++word.token;
    tables_->slots[slot].word.store(layout::pack(word));
    tables_->slots[slot].born.store(word.token);
    const std::uint8_t text = input_.byte();
    const IdHash id =
        id_hash(std::string_view("abcdefghijklmnopqrstuvwxyz").substr(text % 20), 1, 1);
    const std::uint64_t now = input_.byte();
    const auto found = keys_[seat].look_up(id, slot, word.token, now, now + 50, is_pushed());
    if (found.answer != Keys::Answer::fresh) {
      (void)change(slot, SlotState::writing, SlotState::free);
      return;
    }
    if ((text & 32U) != 0) {
      keys_[seat].cancel(static_cast<std::uint32_t>(input_.word()), slot, word.token);
      (void)change(slot, SlotState::writing, SlotState::free);
      return;
    }
    const auto entered = groups_[seat].enter(
        id_hash(std::string_view("abcdefgh").substr(text % 7), 1, 2), slot, word.token,
        [this](std::uint32_t which) {
          return change(which, SlotState::writing, SlotState::grouped);
        },
        activate());
    if (entered.answer == Groups::Answer::active)
      (void)change(slot, SlotState::writing, SlotState::ready);
  }
  void end(std::size_t seat, std::uint32_t slot) {
    const std::uint32_t group = tables_->slots[slot].group.load();
    (void)change(slot, SlotState::ready, input_.flag() ? SlotState::free : SlotState::dead);
    (void)groups_[seat].leave(group, activate());
  }
  void bury(std::size_t seat) {
    const auto dead = static_cast<std::uint16_t>(input_.below(3));
    keys_[seat].bury(dead, static_cast<std::uint32_t>(input_.word()),
                     static_cast<std::uint32_t>(input_.below(kSlots)), input_.byte());
    groups_[seat].bury(dead, activate());
    const auto swept = arenas_[seat].sweep([this](std::uint32_t slot, std::uint32_t born) {
      return slot >= kSlots || word_of(slot).state == SlotState::free ||
             tables_->slots[slot].born.load() != born;
    });
    insist(swept.freed <= kGranules, "no more is freed than there is");
  }
  void look(std::size_t seat) {
    insist(arenas_[seat].used() <= kGranules, "no more is used than there is");
    insist(keys_[seat].remembered(input_.byte()) <= kBuckets * layout::kKeysPerBucket,
           "no more ids than there may be");
    insist(groups_[seat].count() <= kBuckets * layout::kGroupsPerBucket,
           "no more groups than there may be");
  }

  Input& input_;
  std::unique_ptr<Tables> tables_;
  std::array<Arena, kSeats> arenas_;
  std::array<Keys, kSeats> keys_;
  std::array<Groups, kSeats> groups_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
