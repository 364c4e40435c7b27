// A meeting is what a test of the living consists of: one party comes to a crash point, where nobody dies this time, and
// another one makes its whole move right there.
//
// What must not happen between two instructions is prevented either by their order, and then the move goes well, or by
// keeping the other party waiting, and then its move is refused when its short time is over, and goes well afterwards.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include <millrace/crash_point.hpp>

#include "../fixture.hpp"

namespace millrace::test {

class Meeting {
 public:
  Meeting() = default;
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  ~Meeting() {
    crash::disarm();
    CHECK_MESSAGE(met_ == arranged_, "somebody never came to the point");
  }

  // Whoever comes to that point next makes `move` there. It may arrange what is next. A CHECK is all that may fail in it.
  void at(std::string_view point, std::function<void()> move) {
    ++arranged_;
    CHECK(crash::arm(point, 1, [this, move = std::move(move)] {
      ++met_;
      move();
    }));
  }

 private:
  int arranged_ = 0;
  int met_ = 0;
};

// For a move that may have to wait for whoever stands at the point, and so has to be refused.
[[nodiscard]] inline os::Deadline at_once() {
  return os::Deadline::after(20 * kMillisecond);
}

}  // namespace millrace::test
