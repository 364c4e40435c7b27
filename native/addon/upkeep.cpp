// list(), sweep() and observe(): what lies about, as plain objects.
#include "millrace/upkeep.hpp"
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

Napi::Object figures_of(Napi::Env env, const Figures& figures) {
  Napi::Object object = Napi::Object::New(env);
  for (const Figure& figure : figures)
    object.Set(figure.name, Napi::Number::New(env, figure.value));
  return object;
}

Napi::Object part_of(Napi::Env env, const ObservedPart& part) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", part.kind);
  object.Set("index", Napi::Number::New(env, part.index));
  if (!part.name.empty()) object.Set("name", millrace::detail::printable(part.name));
  if (part.pid != 0) object.Set("pid", Napi::Number::New(env, part.pid));
  if (part.policy != nullptr) object.Set("policy", part.policy);
  object.Set("figures", figures_of(env, part.figures));
  return object;
}

Napi::Object wait_of(Napi::Env env, const ObservedWait& wait) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("side", wait.side);
  object.Set("index", Napi::Number::New(env, wait.index));
  object.Set("waits", Napi::Number::New(env, wait.waits));
  object.Set("milliseconds", Napi::Number::New(env, wait.milliseconds));
  if (wait.since) object.Set("since", Napi::Number::New(env, *wait.since));
  Napi::Array times = Napi::Array::New(env, wait.times.size());
  for (std::uint32_t i = 0; i < wait.times.size(); ++i)
    times.Set(i, Napi::Number::New(env, wait.times[i]));
  object.Set("times", times);
  return object;
}

Napi::Object latency_of(Napi::Env env, const ObservedLatency& latency) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("side", latency.side);
  object.Set("index", Napi::Number::New(env, latency.index));
  object.Set("milliseconds", Napi::Number::New(env, latency.milliseconds));
  Napi::Array buckets = Napi::Array::New(env, latency.buckets.size());
  for (std::uint32_t i = 0; i < latency.buckets.size(); ++i) {
    Napi::Object bucket = Napi::Object::New(env);
    bucket.Set("below", Napi::Number::New(env, latency.buckets[i].below));
    bucket.Set("count", Napi::Number::New(env, latency.buckets[i].count));
    buckets.Set(i, bucket);
  }
  object.Set("buckets", buckets);
  return object;
}

// observe(prefix, exactly) -> entries with `figures`, `parts`, `waits` and `latencies`
Napi::Value observe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<Observation> all =
      observe_objects(text_of(info[0]), info[1].ToBoolean().Value());
  Napi::Array entries = Napi::Array::New(env, all.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const Napi::HandleScope scope(env);
    Napi::Object entry = entry_of(env, all[i].object);
    entry.Set("figures", figures_of(env, all[i].figures));
    Napi::Array parts = Napi::Array::New(env, all[i].parts.size());
    for (std::uint32_t at = 0; at < all[i].parts.size(); ++at)
      parts.Set(at, part_of(env, all[i].parts[at]));
    entry.Set("parts", parts);
    Napi::Array waits = Napi::Array::New(env, all[i].waits.size());
    for (std::uint32_t at = 0; at < all[i].waits.size(); ++at)
      waits.Set(at, wait_of(env, all[i].waits[at]));
    entry.Set("waits", waits);
    Napi::Array latencies = Napi::Array::New(env, all[i].latencies.size());
    for (std::uint32_t at = 0; at < all[i].latencies.size(); ++at)
      latencies.Set(at, latency_of(env, all[i].latencies[at]));
    entry.Set("latencies", latencies);
    entries.Set(i, entry);
  }
  return entries;
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
