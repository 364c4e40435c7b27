// Where the private numbers are that a side of a channel goes on from: with the side, until they are moved to memory that
// somebody else on the same thread sees as well. lib/ makes the frequent steps in JavaScript over such a cursor, and calls
// in here for what is rare.
#pragma once

namespace millrace {

template <typename Cursor>
class CursorPlace {
 public:
  CursorPlace() = default;
  CursorPlace(const CursorPlace&) = delete;
  CursorPlace& operator=(CursorPlace&& other) noexcept {
    own_ = *other.at_;
    at_ = &own_;
    return *this;
  }
  ~CursorPlace() = default;

  // To memory that stays until the side is closed.
  void move_to(Cursor* place) noexcept {
    *place = *at_;
    at_ = place;
  }
  Cursor* operator->() const noexcept { return at_; }

 private:
  Cursor own_;
  Cursor* at_ = &own_;
};

}  // namespace millrace
