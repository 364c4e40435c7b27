// What makes the descriptor of a handle readable: its own doorbell, the death of peers, and time.
//
// All of it is behind one descriptor that can be polled (poll_set.hpp), so that a doorbell that is made anew, or a peer that comes
// and goes, does not change what the program waits for.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/os/clock.hpp"
#include "millrace/os/descriptor.hpp"
#include "millrace/os/doorbell.hpp"
#include "millrace/result.hpp"
#include "millrace/waiting.hpp"
#include "poll_set.hpp"

namespace millrace::capi {

class Bell {
 public:
  // A sleeper looks that often in any case: a peer that lies can take a wake-up away.
  static constexpr std::uint64_t kSafetyNs = 2'000'000'000;
  // That often if the death of a peer cannot be heard.
  static constexpr std::uint64_t kDeafNs = 50'000'000;

  Result<void> open(const os::BellTrust& trust);
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(bell_); }
  [[nodiscard]] int fd() const noexcept { return set_.fd(); }
  [[nodiscard]] std::uint64_t id() const noexcept { return bell_.id(); }
  [[nodiscard]] WakeAddress address() const noexcept { return {bell_.id(), 1}; }

  // Empties it. True: it may be that a peer died, or that rings are missing.
  bool drain();
  // Before a wait: the peers that were watched are dropped unless watch() names them again until end_watching().
  void begin_watching() noexcept;
  // Makes the death of the owner of that doorbell ring. `doorbell` 0: of one that has none.
  void watch(std::uint64_t doorbell);
  void end_watching();
  // Rings `ns` from now on at the latest, and sooner where deaths cannot be heard.
  void alarm(std::uint64_t ns) noexcept;
  void no_alarm() noexcept { set_.alarm(0); }
  // How often the doorbell was made anew: write ends that were opened before lead nowhere.
  [[nodiscard]] std::uint32_t renewals() const noexcept { return renewals_; }

 private:
  struct Watched {
    std::uint64_t id = 0;
    os::Descriptor fd;
    bool wanted = true;
  };
  static constexpr std::size_t kMostPeers = 256;

  void mend();

  os::Doorbell bell_;
  os::BellTrust trust_;
  PollSet set_;
  std::vector<Watched> peers_;
  bool deaf_ = false;
  std::uint64_t mended_ms_ = 0;
  std::uint32_t renewals_ = 0;
};

}  // namespace millrace::capi
