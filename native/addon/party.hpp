// What the objects of all primitives that many share have in common: a seat among the parties, whose deaths concern them.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "handle.hpp"
#include "millrace/sync/parties.hpp"

namespace millrace::addon {

// Primitive has parties(), close() (in good order), and abandon() (its environment ends, or its handle was
// lost: whatever it was in the middle of was cut). Both leave the parties.
template <typename Object, typename Primitive>
class PartyObject : public WaitingObject<Object, Primitive> {
  using Base = WaitingObject<Object, Primitive>;

 public:
  // For JavaScript: watch() -> will the death of any other party wake us? Whoever is here may be the one we wait for.
  bool watch() { return this->core() != nullptr && watch_seats(this->core()->parties().present()); }

  // others() -> those who have it open beside this party, as list_of
  Napi::Value others() {
    return list_of([](Primitive& one) { return one.parties().present(); });
  }

  static void add_common(std::vector<Method>& methods) {
    Base::add_common(methods);
    methods.push_back(Base::template method<&Object::watch>("watch"));
    methods.push_back(Base::template method<&Object::others>("others"));
  }

 protected:
  explicit PartyObject(const Napi::CallbackInfo& info) : Base(info) {}

  // For messages: [process id, lives (1) or not (0), …] of the parties of which `seats` tells, beside this one. A hint, at a
  // system call each. Nothing of what is closed, or was shortened and must not be touched.
  template <typename Seats>
  Napi::Value list_of(Seats&& seats) {
    Napi::Array list = Napi::Array::New(this->Env());
    if (this->core() == nullptr || !this->whole()) return list;
    Parties& parties = this->core()->parties();
    std::uint32_t length = 0;
    millrace::detail::for_each_bit(
        seats(*this->core()) & ~parties.bit() & layout::kAllParties, [&](std::uint32_t seat) {
          list[length++] = to_js(this->Env(), parties.pid(seat));
          list[length++] = to_js(this->Env(), parties.vacant(seat) ? 0 : 1);
        });
    return list;
  }

  // Makes the death of those parties wake us, and of no others. False if that of one cannot be heard.
  bool watch_seats(std::uint64_t seats) {
    const Parties& parties = this->core()->parties();
    if (seats != watched_) this->environment().unwatch(this->token_);
    watched_ = seats;
    bool all = true;
    millrace::detail::for_each_bit(seats & ~parties.bit(), [&](std::uint32_t seat) {
      if (!Base::watch(parties.doorbell(seat))) all = false;
    });
    return all;
  }

 private:
  std::uint64_t watched_ = 0;
};

}  // namespace millrace::addon
