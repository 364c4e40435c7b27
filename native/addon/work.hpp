// A work queue as a JavaScript object: what it has and what it can do. The calls are in the files named work_*.cpp, by what they
// are about; work.cpp has the rest: how it is opened, its table of names, and its waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "facts.hpp"
#include "handle.hpp"
#include "millrace/work/work_queue.hpp"

namespace millrace::addon {

// What goes with a call, in either direction.
class WorkFacts : private Facts<Napi::Int32Array> {
 public:
  // In the order of WorkFact in lib/addon/work.ts. What has 64 bits is there as its two halves.
  enum Fact : std::uint8_t {
    kSlot = 0,
    kWord = 1,
    kOffset = 3,
    kLength = 5,
    kAcquired = 6,
    kPushedAt = 7,
    kTexts = 9,
    kKinds = 10,
    kWoke = 11,
    kCount = 12,
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

class WorkObject final : public WaitingObject<WorkObject, WorkQueue> {
 public:
  explicit WorkObject(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);

  // Those of all classes that work queues have their own of: see handle.hpp.
  void park();
  void unpark() noexcept;
  Napi::Value buffer();
  void detach_buffers();

 private:
  static std::string text_at(napi_env env, napi_value value) {
    return text_of(Napi::Value(env, value));
  }
  // What a push says about its job. The texts belong to it, so it stays where it is.
  struct Described {
    PushOptions options;
    std::string id;
    std::string group;
  };

  // Pushing: work_push.cpp
  std::int32_t try_push(const Arguments<1>& given);
  std::int32_t try_push_with(const Arguments<7>& given);
  std::int32_t wait_for_room(const Arguments<9>& given);
  std::int32_t try_loan(const Arguments<1>& given);
  std::int32_t push_loan(const Arguments<8>& given);
  void cancel_loan(const Arguments<1>& given);
  template <typename Push>
  std::int32_t push_in_time(const Arguments<9>& given, Push&& push);
  std::int32_t outcome_of(Pushed pushed);
  template <std::size_t Count>
  bool read_push(const Arguments<Count>& given, std::size_t first, napi_value trace,
                 Described& job) const;
  static bool read_trace(napi_env env, napi_value value, PushOptions& options);
  Loan* loan_at(napi_env env, napi_value value);

  // Taking and settling: work_jobs.cpp
  void take();
  void take_ahead();
  void take_front();
  std::int32_t any();
  void wait_for_job(const Arguments<2>& given);
  std::int32_t complete();
  std::int32_t move_on();
  std::int32_t become(const Arguments<1>& given);
  std::int32_t start();
  std::int32_t release(const Arguments<1>& given);
  std::int32_t retry(const Arguments<2>& given);
  std::int32_t reject(const Arguments<1>& given);
  std::int32_t extend(const Arguments<1>& given);
  std::int32_t holds();
  std::int32_t forward(const Arguments<7>& given);
  std::int32_t promise(const Arguments<7>& given);
  std::int32_t keep_promise(const Arguments<2>& given);
  void withdraw(const Arguments<1>& given);
  template <typename Do>
  std::int32_t forward_by(const Arguments<7>& given, Do&& act);
  Promise* promise_at(napi_env env, napi_value value);
  Napi::Value texts();
  double copy_out(const Arguments<1>& given);
  void take_now(bool begins);
  void hand_over(const Lease& lease);
  [[nodiscard]] Lease lease() const;
  template <typename Do>
  std::int32_t settle(Do&& act);

  // The same for a handle that counts how long jobs take (JobMeter). They take the place of the others in that one object, under the
  // same names, so that whoever does not count executes no instruction more: work_push.cpp, work_jobs.cpp
  void define_measured();
  std::int32_t try_push_measured(const Arguments<1>& given);
  std::int32_t try_push_with_measured(const Arguments<7>& given);
  std::int32_t wait_for_room_measured(const Arguments<9>& given);
  std::int32_t push_loan_measured(const Arguments<8>& given);
  template <auto take>
  void taken();
  void wait_for_job_measured(const Arguments<2>& given);
  void note_taken();
  template <auto settle>
  std::int32_t settled();
  template <auto settle, std::size_t Count>
  std::int32_t settled_with(const Arguments<Count>& given);
  std::int32_t note_settled(std::int32_t done);

  // What there is: work_tools.cpp
  Napi::Value counts();
  Napi::Value stage_counts();
  Napi::Value dead_letters(const Arguments<1>& given);
  std::int32_t redrive(const Arguments<1>& given);
  std::int32_t purge(const Arguments<1>& given);
  // A copy of a dead letter. The texts of `facts` are those of the slot.
  struct Letter {
    std::uint32_t slot;
    std::uint64_t word;
    JobFacts facts;
    std::string id;
    std::string group;
    std::vector<std::byte> bytes;
  };
  Napi::Array object_of(const Letter& letter);
  template <typename Act>
  std::int32_t each_of(const Arguments<1>& given, Act&& act);

  // Waiting, and the disk: work.cpp
  std::uint32_t look();
  double next_due();
  bool keep_watch();
  bool still();
  std::uint32_t recheck(const Arguments<1>& given);
  Napi::Value flush();
  void flush_now();

  void tell_shape();
  // What JavaScript is to see to: it was woken, and may not come.
  void note_woken() {
    if (const std::uint32_t woken = core()->woke(); woken != 0) [[unlikely]] {
      facts_.set(WorkFacts::kWoke, facts_.get(WorkFacts::kWoke) | woken);
    }
  }
  [[nodiscard]] const WorkShape& shape() const { return core()->parties().shape(); }

  static constexpr std::size_t kLongestText = 1024;
  static constexpr std::size_t kLoanTail = 256;  // for an id and a group, beside the payload
  // As headers of a job: lib/base/traced.ts says what is in it.
  static constexpr std::size_t kTraceBytes = 26;
  static constexpr std::uint32_t kAllKinds = (1U << (layout::kForRoom + 1)) - 1;

  std::uint32_t stage_ = 0;  // that it takes jobs of
  WorkFacts facts_;
  SharedBuffer payloads_;
  std::unique_ptr<JobMeter> meter_;  // of a handle that was opened with `stats`
  std::vector<Loan> loans_;
  std::vector<Promise> promises_;
};

}  // namespace millrace::addon
