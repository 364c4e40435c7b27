// A lock among three handles whose word, entries, tickets and seats lie.
#include <millrace/sync/lock.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    options_.place = memory_.place();
    kind_ = input_.flag() ? layout::Kind::rwlock : layout::Kind::mutex;
  }

  void tell() {
    for (auto& handle : handles_)
      open(handle);
    insist(handles_[0] != nullptr, "an honest lock opens");
    Liar& liar = memory_.liar({{layout::kSharedOffset, 1},        // who holds it
                               {layout::kSharedOffset + 128, 1},  // tickets
                               {layout::kSharedOffset + 256, 1},  // entries
                               {layout::kSharedOffset + 320, 1},
                               {layout::kSharedOffset + 384, 1},
                               {layout::kPartiesOffset, 1},      // who is there
                               {layout::kPartyLinesOffset, 48},  // three wait lines
                               {512, 24}});                      // three seats
    std::optional<Storm> storm;
    weather(storm, liar, input_);
    // A handle that was promised the lock takes a second to leave: not too many of those.
    for (int steps = 0; steps < 200 && !input_.over(); ++steps) {
      auto& handle = handles_[input_.below(handles_.size())];
      const auto mode =
          input_.flag() || kind_ == layout::Kind::mutex ? LockMode::exclusive : LockMode::shared;
      switch (input_.below(9)) {
        case 0:
        case 1:
        case 2:
          liar.lie(input_);
          break;
        case 3:
          if (handle) judge(handle, handle->try_lock(mode));
          break;
        case 4:
          if (handle) judge(handle, handle->begin(mode));
          break;
        case 5:
          if (handle) judge(handle, handle->look(input_.flag()));
          break;
        case 6:
          if (handle) judge(handle, handle->unlock());
          break;
        case 7:
          if (handle) look(*handle);
          break;
        default:
          if (handle && handle->waits() && handle->withdraw()) break;
          if (reopened_++ < 4) open(handle);
      }
    }
  }

 private:
  void open(std::unique_ptr<detail::Lock>& handle) {
    handle = std::make_unique<detail::Lock>();
    if (!handle->open(options_, kind_, os::Deadline::after(0)).ok()) handle.reset();
  }
  // Corrupt closes, as in JavaScript.
  static void judge(std::unique_ptr<detail::Lock>& handle, LockStatus status) {
    if (status == LockStatus::corrupt) handle.reset();
  }
  void look(detail::Lock& lock) {
    (void)lock.holder();
    (void)lock.readers();
    (void)lock.obstacles();
    (void)lock.wait(0, 0);
    lock.parties().sleeper().park_on_bell({input_.word(), 1});
    lock.parties().sleeper().unpark();
  }

  Input& input_;
  Memory memory_;
  PartyOptions options_;
  layout::Kind kind_;
  int reopened_ = 0;
  std::array<std::unique_ptr<detail::Lock>, 3> handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
