// A meeting is what a test of the living consists of: one party comes to a crash point, where nobody dies this time, and
// another one makes its whole move right there.
//
// What must not happen between two instructions is prevented either by their order, and then the move goes well, or by
// keeping the other party waiting, and then its move is refused when its short time is over, and goes well afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

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

// For every passage of every point in the first party's doings, on a ground of its own: there the second party makes its whole
// move. Then it is judged. Returns how many there were.
template <typename Ground, typename First, typename Second, typename Judge>
int every_meeting(First&& first, Second&& second, Judge&& judge) {
  std::vector<std::uint32_t> passed(crash::points().size());
  {
    Ground alone;
    crash::Log log{};
    crash::log_to(&log);
    first(alone);
    crash::log_to(nullptr);
    for (std::size_t i = 0; i < passed.size(); ++i)
      passed[i] = log.passed[i].load();
  }
  int meetings = 0;
  for (std::size_t i = 0; i < passed.size(); ++i) {
    for (std::uint32_t passage = 1; passage <= passed[i]; ++passage) {
      const std::string_view point = crash::points()[i];
      CAPTURE(point);
      CAPTURE(passage);
      Ground ground;
      bool met = false;
      REQUIRE(crash::arm(point, passage, [&] {
        met = true;
        second(ground);
      }));
      first(ground);
      crash::disarm();
      CHECK(met);
      judge(ground);
      ++meetings;
    }
  }
  return meetings;
}

// For a move that may have to wait for whoever stands at the point, and so has to be refused.
[[nodiscard]] inline os::Deadline at_once() {
  return os::Deadline::after(20 * kMillisecond);
}

}  // namespace millrace::test
