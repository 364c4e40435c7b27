// list(), sweep() and observe(): what lies about, as plain objects.
#include "millrace/upkeep.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "millrace/happenings.hpp"
#include "millrace/observe.hpp"

#include "addon.hpp"
#include "arguments.hpp"
#include "environment.hpp"

namespace millrace::addon {

namespace {

// As in lib/addon/upkeep.ts.
const char* name_of(Condition condition) noexcept {
  switch (condition) {
    case Condition::in_use:
      return "in-use";
    case Condition::abandoned:
      return "abandoned";
    case Condition::half_created:
      return "half-created";
    case Condition::corrupt:
      return "corrupt";
    case Condition::kept:
      return "kept";
    case Condition::foreign:
      return "foreign";
    case Condition::unknown:
      return "unknown";
  }
  return "unknown";
}

Napi::Object holder_of(Napi::Env env, const Holder& holder) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("role", holder.role);
  if (holder.pid != 0) object.Set("pid", Napi::Number::New(env, holder.pid));
  object.Set("alive", Napi::Boolean::New(env, holder.alive));
  return object;
}

Napi::Object entry_of(Napi::Env env, const ObjectReport& report) {
  Napi::Object object = Napi::Object::New(env);
  const auto number = [&](const char* key, double value) {
    object.Set(key, Napi::Number::New(env, value));
  };
  object.Set("kind", report.kind);
  object.Set("name", report.name);
  object.Set("state", name_of(report.condition));
  object.Set("detail", report.detail);
  object.Set("path", report.path);
  number("size", static_cast<double>(report.size));
  number("owner", report.owner);
  number("mode", report.mode);
  if (report.created_ms != 0) {
    object.Set("created", Napi::Date::New(env, static_cast<double>(report.created_ms)));
  }
  if (report.major != 0) {
    object.Set("layout", std::to_string(report.major) + "." + std::to_string(report.minor));
  }
  if (report.creator_pid != 0) number("creator", report.creator_pid);
  Napi::Array holders = Napi::Array::New(env, report.holders.size());
  for (std::uint32_t i = 0; i < report.holders.size(); ++i)
    holders.Set(i, holder_of(env, report.holders[i]));
  object.Set("holders", holders);
  return object;
}

// list(prefix) -> entries
Napi::Value list(const Napi::CallbackInfo& info) {
  const std::vector<ObjectReport> reports = list_objects(text_of(info[0]));
  Napi::Array entries = Napi::Array::New(info.Env(), reports.size());
  for (std::uint32_t i = 0; i < reports.size(); ++i)
    entries.Set(i, entry_of(info.Env(), reports[i]));
  return entries;
}

// sweep({ prefix, kept, semaphores, dryRun }) -> { removed, left }
Napi::Value sweep(const Napi::CallbackInfo& info) {
  const Options options(info[0]);
  SweepSpec spec;
  spec.prefix = options.text("prefix");
  spec.kept = options.flag("kept");
  spec.semaphores = options.flag("semaphores");
  spec.dry_run = options.flag("dryRun");
  Napi::Array removed = Napi::Array::New(info.Env());
  Napi::Array left = Napi::Array::New(info.Env());
  for (const Swept& found : sweep_objects(spec)) {
    Napi::Array& list = found.removed ? removed : left;
    list.Set(list.Length(), entry_of(info.Env(), found.object));
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("removed", removed);
  result.Set("left", left);
  return result;
}

// What was seen, as a row of numbers and the texts in it: to make the objects of it in JavaScript, which knows their shapes, takes a fifth of
// the time that it takes here, property by property. lib/telemetry/observe.ts reads it.
class Telling {
 public:
  explicit Telling(Napi::Env env) : texts_(Napi::Array::New(env)) {}

  void number(double value) { numbers_.push_back(value); }
  // One of those that never go away: told once.
  void word(const char* text) {
    if (text == nullptr) return number(kNone);
    Known& known = known_[(reinterpret_cast<std::uintptr_t>(text) >> 3U) % known_.size()];
    if (known.text != text) known = {text, add(Napi::String::New(texts_.Env(), text))};
    number(known.at);
  }
  void text(const std::string& text) {
    number(text.empty() ? kNone : add(Napi::String::New(texts_.Env(), text)));
  }
  void figures(const Figures& figures) {
    number(static_cast<double>(figures.end() - figures.begin()));
    for (const Figure& figure : figures) {
      word(figure.name);
      number(figure.value);
    }
  }
  [[nodiscard]] Napi::Value numbers() const {
    auto all = Napi::Float64Array::New(texts_.Env(), numbers_.size());
    if (!all.IsEmpty() && !numbers_.empty())
      std::memcpy(all.Data(), numbers_.data(), numbers_.size() * sizeof(double));
    return all;
  }
  [[nodiscard]] Napi::Array texts() const { return texts_; }

 private:
  struct Known {
    const char* text = nullptr;
    std::uint32_t at = 0;
  };
  static constexpr double kNone = -1;
  std::uint32_t add(Napi::String text) {
    texts_.Set(count_, text);
    return count_++;
  }

  std::vector<double> numbers_;
  Napi::Array texts_;
  std::uint32_t count_ = 0;
  std::array<Known, 256> known_{};
};

void tell(const ObjectReport& report, Telling& to) {
  to.text(report.kind);
  to.text(report.name);
  to.word(name_of(report.condition));
  to.text(report.detail);
  to.text(report.path);
  to.number(static_cast<double>(report.size));
  to.number(report.owner);
  to.number(report.mode);
  to.number(static_cast<double>(report.created_ms));
  to.number(report.major);
  to.number(report.minor);
  to.number(report.creator_pid);
  to.number(static_cast<double>(report.holders.size()));
  for (const Holder& holder : report.holders) {
    to.text(holder.role);
    to.number(holder.pid);
    to.number(holder.alive ? 1 : 0);
  }
}

void tell(const Observation& seen, Telling& to) {
  tell(seen.object, to);
  to.figures(seen.figures);
  to.number(static_cast<double>(seen.parts.size()));
  for (const ObservedPart& part : seen.parts) {
    to.word(part.kind);
    to.number(part.index);
    to.text(part.name.empty() ? part.name : millrace::detail::printable(part.name));
    to.number(part.pid);
    to.word(part.policy);
    to.figures(part.figures);
  }
  to.number(static_cast<double>(seen.waits.size()));
  for (const ObservedWait& wait : seen.waits) {
    to.word(wait.side);
    to.number(wait.index);
    to.number(wait.waits);
    to.number(wait.milliseconds);
    to.number(wait.since.value_or(-1));
    for (const std::uint32_t count : wait.times)
      to.number(count);
  }
  to.number(static_cast<double>(seen.latencies.size()));
  for (const ObservedLatency& latency : seen.latencies) {
    to.word(latency.side);
    to.number(latency.index);
    to.number(latency.milliseconds);
    to.number(static_cast<double>(latency.buckets.size()));
    for (const auto& bucket : latency.buckets) {
      to.number(bucket.below);
      to.number(bucket.count);
    }
  }
}

// observe(prefix, exactly) -> [numbers, texts]: what Telling makes of each, one after the other
Napi::Value observe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Telling telling(env);
  for (const Observation& seen : observe_objects(text_of(info[0]), info[1].ToBoolean().Value())) {
    const Napi::HandleScope scope(env);
    tell(seen, telling);
  }
  Napi::Array told = Napi::Array::New(env, 2);
  told.Set(0U, telling.numbers());
  told.Set(1U, telling.texts());
  return told;
}

// happenings() -> what was found out about the dead since the last time, seven values each, and last how many are not among them;
// undefined if nothing was.
Napi::Value happenings(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto next = Happenings::take();
  if (!next) return env.Undefined();
  Napi::Array told = Napi::Array::New(env);
  std::uint32_t at = 0;
  const auto number = [&](double value) { told.Set(at++, Napi::Number::New(env, value)); };
  for (; next; next = Happenings::take()) {
    const HappeningFacts& facts = next->facts;
    number(static_cast<double>(facts.what));
    number(static_cast<double>(facts.kind));
    told.Set(at++, Napi::String::New(env, next->name.data()));
    number(facts.pid);
    number(facts.reason);
    number(facts.attempts);
    const std::uint64_t at_ms = next->at_ns / 1'000'000;
    number(static_cast<double>(at_ms));
  }
  number(Happenings::take_lost());
  return told;
}

}  // namespace

void define_upkeep(Napi::Env env, Napi::Object exports) {
  exports.Set("list", Napi::Function::New<list>(env, "list"));
  exports.Set("sweep", Napi::Function::New<sweep>(env, "sweep"));
  exports.Set("observe", Napi::Function::New<observe>(env, "observe"));
  exports.Set("happenings", Napi::Function::New<happenings>(env, "happenings"));
}

}  // namespace millrace::addon
