// What a work queue tells of itself, and what is done with its dead letters.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "millrace/compact_sort.hpp"
#include "millrace/work/counts.hpp"
#include "work.hpp"

namespace millrace::addon {

// counts() -> in the order of lib/work/stats.ts
Napi::Value WorkObject::counts() {
  constexpr std::size_t states = 8;
  constexpr std::size_t counters = static_cast<std::size_t>(layout::WorkCount::torn) + 1;
  auto counted = Napi::Float64Array::New(Env(), states + counters);
  if (core() == nullptr) return counted;
  const auto counts = core()->store().counts();
  auto& control = core()->store().memory().control();
  std::uint32_t handles = 0;
  core()->parties().for_each_present([&handles](std::uint32_t) { ++handles; });
  const std::array<double, states> found{
      static_cast<double>(counts.ready),
      static_cast<double>(counts.leased),
      static_cast<double>(counts.delayed),
      static_cast<double>(counts.grouped),
      static_cast<double>(counts.dead),
      static_cast<double>(counts.free),
      static_cast<double>(core()->store().granules_used()) * layout::kGranuleBytes,
      static_cast<double>(handles)};
  std::copy(found.begin(), found.end(), counted.Data());
  for (std::size_t i = 0; i < counters; ++i) {
    const auto what = static_cast<layout::WorkCount>(i);
    counted.Data()[states + i] =
        static_cast<double>(millrace::counted(control, core()->parties(), what));
  }
  return counted;
}

// stageCounts() -> of each stage, in the order of lib/work/stats.ts
Napi::Value WorkObject::stage_counts() {
  constexpr std::size_t states = 7;
  const std::uint32_t stages = core() == nullptr ? 0 : shape().stages;
  auto counted = Napi::Float64Array::New(Env(), states * stages);
  // In the order in which jobs go: none that moves on meanwhile is overlooked.
  for (std::uint32_t stage = 0; stage < stages; ++stage) {
    const auto counts = core()->store().stage_counts(stage);
    const std::array<std::uint32_t, states> found{counts.ready,
                                                  counts.leased,
                                                  counts.held,
                                                  counts.delayed,
                                                  counts.grouped,
                                                  counts.dead,
                                                  counts.other - counts.writing};
    std::copy(found.begin(), found.end(), counted.Data() + states * stage);
  }
  return counted;
}

// deadLetters(limit) -> see NativeDeadLetter in lib/addon/work.ts, the oldest first; or kBusy, kClosed
Napi::Value WorkObject::dead_letters(const Arguments<1>& given) {
  const Napi::Env env = Env();
  if (core() == nullptr) return Napi::Number::New(env, kClosed);
  const std::uint64_t limit = natural(env, given[0], ~std::uint64_t{0});
  // Copied first: whoever makes objects may be held up for long, by the garbage collector to begin with, and others need the
  // dead letters.
  std::vector<Letter> letters;
  const bool had =
      limit == 0 || core()->store().each_dead([&](std::uint32_t slot, std::uint64_t word) {
        JobFacts facts;
        if (!core()->facts(slot, facts)) return true;
        const std::byte* const bytes = core()->data()->data() + facts.at;
        letters.push_back(Letter{slot, word, facts, std::string(facts.id), std::string(facts.group),
                                 std::vector<std::byte>(bytes, bytes + facts.length)});
        return letters.size() < limit;
      });
  if (!had) return Napi::Number::New(env, kBusy);
  Napi::Array list = Napi::Array::New(env);
  std::uint32_t length = 0;
  for (const Letter& letter : letters)
    list[length++] = object_of(letter);
  return list;
}
Napi::Array WorkObject::object_of(const Letter& letter) {
  const Napi::Env env = Env();
  const JobFacts& facts = letter.facts;
  Napi::Array object = Napi::Array::New(env, 14);
  std::uint32_t at = 0;
  const auto add = [&](auto value) { object[at++] = to_js(env, value); };
  const auto ms = [](std::uint64_t ns) {
    const std::uint64_t whole = ns / 1'000'000U;
    return static_cast<double>(whole);
  };
  add(letter.slot);
  add(static_cast<std::uint32_t>(letter.word));
  add(static_cast<std::uint32_t>(letter.word >> 32U));
  add(std::uint32_t{facts.attempt});
  add(facts.acquired);
  add(ms(facts.pushed_at));
  add(ms(facts.dead_at));
  add(static_cast<std::uint32_t>(facts.reason));
  add(std::uint32_t{facts.level});
  add(std::uint32_t{facts.stage});
  add(facts.error);
  add(letter.id);
  add(letter.group);
  napi_value bytes = nullptr;
  napi_create_buffer_copy(env, letter.bytes.size(), letter.bytes.data(), nullptr, &bytes);
  add(bytes);
  return object;
}
// redrive(leases), purge(leases): three numbers each -> how many; or kBusy, kClosed, kInvalid
std::int32_t WorkObject::redrive(const Arguments<1>& given) {
  return each_of(given, [this](std::uint32_t slot, std::uint64_t word) {
    return core()->store().redrive(slot, word);
  });
}
std::int32_t WorkObject::purge(const Arguments<1>& given) {
  return each_of(given, [this](std::uint32_t slot, std::uint64_t word) {
    return core()->store().purge(slot, word);
  });
}
template <typename Act>
std::int32_t WorkObject::each_of(const Arguments<1>& given, Act&& act) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  if (!bytes || bytes->size % 12 != 0) return kInvalid;
  std::vector<std::uint32_t> numbers(bytes->size / 4);
  std::memcpy(numbers.data(), bytes->data, bytes->size);
  std::vector<std::pair<std::uint32_t, std::uint64_t>> wanted;
  for (std::size_t i = 0; i < numbers.size(); i += 3) {
    wanted.emplace_back(numbers[i], numbers[i + 1] | std::uint64_t{numbers[i + 2]} << 32U);
  }
  compact_sort(wanted);
  std::int32_t done = 0;
  const bool had = core()->change_dead([&](std::uint32_t slot, std::uint64_t word) {
    if (std::binary_search(wanted.begin(), wanted.end(), std::pair(slot, word))) {
      done += act(slot, word) ? 1 : 0;
    }
    return true;
  });
  if (!had) return kBusy;
  note_woken();
  return done;
}

}  // namespace millrace::addon
