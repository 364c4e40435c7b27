// A rate limiter as a JavaScript object. Times are milliseconds, costs whole numbers from 1 to the burst.
#include "millrace/sync/rate_limiter.hpp"

#include "addon.hpp"
#include "handle.hpp"

namespace millrace::addon {

namespace {

class RateLimiterObject final : public HandleObject<RateLimiterObject, RateLimiter> {
 public:
  // new RateLimiter({ place, mode, owner?, interval?, burst? }); an interval in ticks of 1/16 ns
  explicit RateLimiterObject(const Napi::CallbackInfo& info) : HandleObject(info) {
    const Options options(info[0]);
    const bool opened = open<RateLimiterSpec>(options, [&](RateLimiterSpec& spec) {
      const auto interval = options.bits_if_any("interval");
      const auto burst = options.number_if_any("burst");
      if (interval && burst) spec.rate = Rate{*interval, *burst};
      return RateLimiter::open(spec, soon());
    });
    if (!opened) return;
    const Rate& rate = core()->rate();
    tell("intervalMs", ms(rate.interval));
    tell("burst", static_cast<double>(rate.burst));
    define_hot<&RateLimiterObject::try_take>("tryTake");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "RateLimiter",
                        {
                            method<&RateLimiterObject::reserve>("reserve"),
                            method<&RateLimiterObject::left>("left"),
                            method<&RateLimiterObject::sleep>("sleep"),
                            method<&RateLimiterObject::finish>("finish"),
                            method<&RateLimiterObject::give_back>("giveBack"),
                            method<&RateLimiterObject::look>("look"),
                            method<&RateLimiterObject::remaining>("remaining"),
                            method<&RateLimiterObject::debt>("debt"),
                        });
  }

 private:
  static constexpr double kTicksPerMs = 1e6 * layout::kTicksPerNs;
  static constexpr std::uint64_t kSliceNs = 20'000'000;

  static double ms(std::uint64_t ticks) noexcept {
    return static_cast<double>(ticks) / kTicksPerMs;
  }
  // 0: it is none.
  [[nodiscard]] std::uint64_t cost(napi_env env, napi_value value) const noexcept {
    double number = 0;
    if (napi_get_value_double(env, value, &number) != napi_ok) return 0;
    const auto burst = static_cast<double>(core()->rate().burst);
    if (!(number >= 1 && number <= burst)) return 0;
    const auto whole = static_cast<std::uint64_t>(number);
    return static_cast<double>(whole) == number ? whole : 0;
  }

  // tryTake(cost) -> 1, 0: not now, or kClosed, kInvalid, kCorrupt
  std::int32_t try_take(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t permits = cost(given.env, given[0]);
    if (permits == 0) return kInvalid;
    const RateTurn turn = core()->try_take(permits);
    if (turn.status == RateTurn::Status::corrupt) return kCorrupt;
    return turn.status == RateTurn::Status::taken ? 1 : 0;
  }
  // reserve(cost, withinMs) -> ms until its turn; or kWouldBlock: not within that, kClosed, kInvalid, kCorrupt
  double reserve(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t permits = cost(given.env, given[0]);
    if (permits == 0) return kInvalid;
    const std::uint64_t within = nanoseconds(given.env, given[1]);
    const RateTurn turn =
        core()->reserve(permits, within > layout::kFarthestTicks / layout::kTicksPerNs
                                     ? layout::kFarthestTicks
                                     : within * layout::kTicksPerNs);
    if (turn.status == RateTurn::Status::corrupt) return kCorrupt;
    return turn.status == RateTurn::Status::taken ? ms(core()->left()) : double{kWouldBlock};
  }
  // left() -> ms until the turn that was reserved
  double left() { return core() == nullptr ? 0 : ms(core()->left()); }
  // sleep() -> the same, after blocking for 20 ms at most
  double sleep() {
    if (core() == nullptr) return 0;
    const std::uint64_t ns = (core()->left() + layout::kTicksPerNs - 1) / layout::kTicksPerNs;
    if (ns != 0) os::sleep_ns(ns < kSliceNs ? ns : kSliceNs);
    return left();
  }
  void finish() {
    if (core() != nullptr) core()->finish();
  }
  // giveBack() -> was it the last one taken? If not, it is still ours, to be used or let pass by finish().
  bool give_back() { return core() != nullptr && core()->give_back(); }

  // look(cost) -> ms until so many can be had; or kClosed, kInvalid, kCorrupt
  double look(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t permits = cost(given.env, given[0]);
    if (permits == 0) return kInvalid;
    const std::uint64_t now = RateLimiter::now();
    const RateTurn turn = core()->look(now, permits);
    if (turn.status == RateTurn::Status::corrupt) return kCorrupt;
    return turn.at > now ? ms(turn.at - now) : 0;
  }
  // remaining() -> permits that could be had now; debt() -> ms until all of the burst could; or kClosed
  double remaining() {
    return core() == nullptr ? double{kClosed} : static_cast<double>(core()->remaining());
  }
  double debt() { return core() == nullptr ? double{kClosed} : ms(core()->debt()); }
};

}  // namespace

Napi::Function define_rate_limiter(Napi::Env env) {
  return RateLimiterObject::define(env);
}

}  // namespace millrace::addon
