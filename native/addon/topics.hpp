// Topics as a JavaScript object: what they have and what they can do.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "facts.hpp"
#include "handle.hpp"
#include "millrace/topics/topic_bus.hpp"

namespace millrace::addon {

// What goes with a call, in either direction.
class TopicCallFacts : private Facts<Napi::Float64Array> {
 public:
  // In the order of TopicFact in lib/addon/topics.ts.
  enum Fact : std::uint8_t {
    kKinds = 0,
    kOffset = 1,
    kNeeded = 2,
    kMatched = 3,
    kIntake = 8,  // the first message that was read; the lengths of those to be published
  };
  // Of each message, in the order of IntakeFact.
  enum OfMessage : std::uint8_t {
    kIndex = 0,
    kSubject = 1,
    kWhere = 2,
    kLength = 3,
    kHeaders = 4,
    kPublishedAt = 5,
    kMissed = 6,
    kPin = 7,
    kPerMessage = 8,
  };
  static constexpr std::uint32_t kMostTaken = 64;
  static constexpr std::uint32_t kMostPacked = 64;

  void give(Napi::Object object) { Facts::give(object, kIntake + kPerMessage * kMostTaken); }
  void set(std::size_t at, double value) noexcept { (*this)[at] = value; }
  void set(std::size_t at, std::uint64_t value) noexcept {
    (*this)[at] = static_cast<double>(value);
  }
  [[nodiscard]] std::uint32_t small(std::size_t at) const noexcept {
    const double value = (*this)[at];
    return value >= 0 && value <= 0xFFFF'FFFF ? static_cast<std::uint32_t>(value) : 0;
  }
};

class TopicsObject final : public WaitingObject<TopicsObject, TopicBus> {
 public:
  explicit TopicsObject(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);

  // Those of all classes that topics have their own of: see handle.hpp.
  void park();
  void unpark() noexcept;
  Napi::Value buffer();
  void detach_buffers();

 private:
  std::int32_t subject(const Arguments<1>& given);
  std::string subject_text(const Arguments<1>& given);
  std::int32_t try_publish(const Arguments<2>& given);
  std::int32_t try_publish_with(const Arguments<3>& given);
  std::int32_t try_publish_packed(const Arguments<4>& given);
  std::int32_t try_loan(const Arguments<3>& given);
  std::int32_t publish_loan(const Arguments<3>& given);
  void cancel_loan(const Arguments<1>& given);
  std::int32_t subscribe(const Arguments<6>& given);
  void unsubscribe(const Arguments<1>& given);
  std::int32_t read(const Arguments<5>& given);
  std::int32_t pump_begin(const Arguments<4>& given);
  void pump_end(const Arguments<2>& given);
  void release(const Arguments<1>& given);
  bool ready(const Arguments<1>& given);
  std::int32_t copy_out(const Arguments<2>& given);
  std::uint32_t look();
  bool keep_watch();
  bool still();
  bool wait_for_message(const Arguments<3>& given);
  std::int32_t wait_for_room(const Arguments<5>& given);
  Napi::Value counts();

  // The same for a handle that counts how long messages take (TopicMeter). They take the place of the others in that one object, under the
  // same names, so that whoever does not count executes no instruction more.
  void define_measured();
  std::int32_t try_publish_measured(const Arguments<2>& given);
  std::int32_t try_publish_with_measured(const Arguments<3>& given);
  std::int32_t try_publish_packed_measured(const Arguments<4>& given);
  std::int32_t publish_loan_measured(const Arguments<3>& given);
  std::int32_t wait_for_room_measured(const Arguments<5>& given);
  std::int32_t subscribe_measured(const Arguments<6>& given);
  std::int32_t read_measured(const Arguments<5>& given);
  // These are given a TopicMeter, or nothing.
  template <typename... Meter>
  std::int32_t publish_plain(const Arguments<2>& given, Meter&... meter);
  template <typename... Meter>
  std::int32_t publish_with(const Arguments<3>& given, Meter&... meter);
  template <typename... Meter>
  std::int32_t publish_packed(const Arguments<4>& given, Meter&... meter);
  template <typename... Meter>
  std::int32_t publish_in_time(const Arguments<5>& given, Meter&... meter);
  template <typename... Meter>
  std::int32_t read_with(const Arguments<5>& given, Meter&... meter);

  std::int32_t outcome_of(Published published, std::uint32_t matched) const noexcept;
  TopicLoan* loan_at(napi_env env, napi_value value);
  std::int32_t tell(std::uint32_t count, std::uint32_t entry, std::size_t offset);
  void tell_message(std::size_t place, const TopicMessage& message, std::size_t offset) noexcept;

  TopicCallFacts facts_;
  std::array<TopicMessage, TopicCallFacts::kMostTaken> taken_;
  SharedBuffer messages_;
  std::unique_ptr<TopicMeter> meter_;  // of a handle that was opened with `stats`
  std::vector<TopicLoan> loans_;
};

}  // namespace millrace::addon
