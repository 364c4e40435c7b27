// Calls as a JavaScript object: a client that makes some, or a server that answers them. One addon call a step; what goes with it
// is in `facts`, and small arguments and results go through two boxes in JavaScript's own memory, so that nothing has to be made
// for them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "facts.hpp"
#include "handle.hpp"
#include "millrace/rpc/call_meter.hpp"
#include "millrace/rpc/call_queue.hpp"

namespace millrace::addon {

// What goes with a step, in either direction.
class CallsFacts : private Facts<Napi::Int32Array> {
 public:
  // In the order of CallFact in lib/addon/calls.ts. What has 64 bits is there as its two halves.
  enum Fact : std::uint8_t {
    kSlot = 0,
    kWord = 1,
    kOffset = 3,
    kLength = 5,
    kMethod = 6,
    kFlags = 7,
    kStatus = 8,
    kLeft = 9,
    kCaller = 11,
    kEnd = 12,
    kSmall = 13,
    kKinds = 14,
    kWoke = 15,
    kCount = 16,
  };

  void give(Napi::Object object) { Facts::give(object, kCount); }
  void set(std::size_t at, std::uint32_t value) noexcept {
    (*this)[at] = static_cast<std::int32_t>(value);
  }
  void set_wide(std::size_t at, std::uint64_t value) noexcept {
    set(at, static_cast<std::uint32_t>(value));
    set(at + 1, static_cast<std::uint32_t>(value >> 32U));
  }
  void set(Outcome outcome) noexcept { (*this)[kSlot] = outcome; }
  [[nodiscard]] std::uint32_t get(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>((*this)[at]);
  }
  [[nodiscard]] std::uint64_t get_wide(std::size_t at) const noexcept {
    return get(at) | std::uint64_t{get(at + 1)} << 32U;
  }
};

// Bytes in JavaScript's memory that both languages know, as a property of the object.
class Box {
 public:
  static constexpr std::size_t kBytes = 4096;

  void give(Napi::Object object, const char* name) {
    auto array = Napi::Uint8Array::New(object.Env(), kBytes);
    if (array.IsEmpty()) {  // a worker that is being terminated: nobody will look at them
      unseen_.resize(kBytes);
      bytes_ = unseen_.data();
      return;
    }
    array_ = Napi::Persistent(array);
    bytes_ = reinterpret_cast<std::byte*>(array.Data());
    object.Set(name, array);
  }
  [[nodiscard]] std::byte* data() const noexcept { return bytes_; }

 private:
  Napi::Reference<Napi::Uint8Array> array_;
  std::vector<std::byte> unseen_;
  std::byte* bytes_ = nullptr;
};

class CallsObject final : public WaitingObject<CallsObject, CallQueue> {
 public:
  explicit CallsObject(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);

  // Those of all classes that calls have their own of: see handle.hpp.
  void park();
  void unpark() noexcept;
  Napi::Value buffer();
  void detach_buffers();

 private:
  // Shared with lib/addon/calls.ts, below the outcomes of all.
  static constexpr std::int32_t kNoResponder = -9;
  // Of kEnd: a handler may have begun.
  static constexpr std::uint32_t kTouched = 16;
  // Of the flags of a call: a trace context lies behind the request, at the next multiple of 8. Who does not know that sees the request
  // alone.
  static constexpr std::uint16_t kTraced = 1;
  static constexpr std::size_t kTraceBytes = 26;  // lib/base/traced.ts says what is in it

  // The caller
  std::int32_t call();
  std::int32_t call_with(const Arguments<2>& given);
  std::int32_t ask(std::span<const std::byte> request);
  std::int32_t ask_traced(std::span<const std::byte> request, std::span<const std::byte> trace);
  // Where that of a request of so many bytes lies, from its start on.
  [[nodiscard]] static std::uint64_t trace_at(std::uint64_t length) noexcept {
    return (length + 7) / 8 * 8;
  }
  std::int32_t try_loan(const Arguments<1>& given);
  std::int32_t push_loan(const Arguments<3>& given);
  void cancel_loan(const Arguments<1>& given);
  void poll();
  void release(const Arguments<1>& given);
  std::int32_t withdraw(const Arguments<1>& given);
  bool served();
  bool all_there();
  double servers();

  // The server
  void serve(const Arguments<1>& given);
  void take();
  std::int32_t answer();
  std::int32_t answer_with(const Arguments<1>& given);
  std::int32_t answer_as(std::span<const std::byte> bytes);
  std::int32_t loan_answer(const Arguments<1>& given);
  std::int32_t answer_loan(const Arguments<1>& given);
  void cancel_answer();
  std::int32_t next_cancelled();
  Napi::Value trace();

  // The same for a handle that counts how long calls take (CallMeter). They take the place of the others in that one object, under the same
  // names, so that whoever does not count executes no instruction more.
  void define_measured();
  std::int32_t call_measured();
  std::int32_t call_with_measured(const Arguments<2>& given);
  std::int32_t push_loan_measured(const Arguments<3>& given);
  std::int32_t note_asked(std::uint64_t since, std::int32_t done);
  void poll_measured();
  std::int32_t withdraw_measured(const Arguments<1>& given);
  void take_measured();
  std::int32_t answer_measured();
  std::int32_t answer_with_measured(const Arguments<1>& given);
  std::int32_t answer_loan_measured(const Arguments<1>& given);
  std::int32_t note_answered(std::int32_t done);

  // Both
  double copy_out(const Arguments<1>& given);
  Napi::Value news();
  std::uint32_t look();
  bool keep_watch();
  bool still();
  bool recheck();
  Napi::Value counts();

  void tell_shape();
  // What goes with a call, as `facts` say.
  [[nodiscard]] CallOptions options() const;
  std::int32_t asked(Asked done, const Ticket& ticket);
  CallLoan* loan_at(napi_env env, napi_value value);
  // The call in hand that `facts` name; nothing in hand if they cannot be right.
  [[nodiscard]] Lease lease() const;
  static std::int32_t told(Answered answered) noexcept;
  // What lies there, into the inbox if it is small enough.
  void show(std::uint64_t at, std::uint32_t length);
  [[nodiscard]] std::span<const std::byte> sent() const noexcept {
    return {outbox_.data(), std::min<std::size_t>(facts_.get(CallsFacts::kLength), Box::kBytes)};
  }
  // What JavaScript is to see to: it was woken, and may not come.
  void note_woken() {
    if (const std::uint32_t woken = core()->woke(); woken != 0) [[unlikely]] {
      kinds_woken_ |= woken;
      facts_.set(CallsFacts::kWoke, 1);
    }
  }
  [[nodiscard]] const WorkShape& shape() const { return core()->parties().shape(); }

  CallsFacts facts_;
  Box outbox_;
  Box inbox_;
  SharedBuffer payloads_;
  SharedBuffer news_;
  std::vector<std::uint32_t> born_;   // of the calls of this handle, by their slots
  std::vector<bool> asked_;           // those that have had no outcome
  std::vector<Answer> held_;          // whose bytes are looked at where they lie
  std::vector<CallLoan> loans_;       // of requests
  std::vector<CallLoan> answers_;     // of answers, each for another slot
  std::unique_ptr<CallMeter> meter_;  // of a handle that was opened with `stats`
  std::uint32_t kinds_woken_ = 0;
};

}  // namespace millrace::addon
