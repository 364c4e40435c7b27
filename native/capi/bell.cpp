#include "bell.hpp"

#include <algorithm>
#include <utility>

namespace millrace::capi {

namespace {
constexpr std::uint64_t kOwn = 0;  // no doorbell has that id
constexpr std::uint64_t kMendMs = 2000;
}  // namespace

Result<void> Bell::open(const os::BellTrust& trust) {
  trust_ = trust;
  if (auto opened = set_.open(); !opened.ok()) return opened;
  auto made = os::Doorbell::create(trust);
  if (!made.ok()) {
    set_.close();
    return made.error();
  }
  bell_ = made.take();
  mended_ms_ = os::coarse_ms();
  if (set_.add_readable(bell_.fd(), kOwn)) return {};
  Error error = system_error("epoll_ctl", errno);
  close();
  return error;
}

void Bell::close() noexcept {
  peers_.clear();
  set_.close();
  bell_ = os::Doorbell();
}

bool Bell::drain() {
  bool look = false;
  set_.drain([&](std::uint64_t id) {
    if (id == kOwn) return;
    const auto at = std::find_if(peers_.begin(), peers_.end(),
                                 [id](const Watched& peer) { return peer.id == id; });
    if (at == peers_.end()) return;
    set_.remove(at->fd.get());
    peers_.erase(at);
    os::remove_dead_bell(id);
    look = true;
  });
  if (bell_.drain([](std::uint64_t) {})) {
    look = true;
    mended_ms_ = 0;  // perhaps it was rung by somebody who did not find its name
  }
  if (os::coarse_ms() - mended_ms_ >= kMendMs) mend();
  return look;
}

// Somebody else may have removed its name.
void Bell::mend() {
  mended_ms_ = os::coarse_ms();
  if (bell_.has_name()) return;
  auto old = bell_.renew();
  if (!old.ok()) return;
  ++renewals_;
  set_.remove(old.value().get());
  (void)set_.add_readable(bell_.fd(), kOwn);
}

void Bell::begin_watching() noexcept {
  deaf_ = false;
  for (Watched& peer : peers_)
    peer.wanted = false;
}

void Bell::watch(std::uint64_t doorbell) {
  if (doorbell == bell_.id()) return;
  for (Watched& peer : peers_) {
    if (peer.id != doorbell) continue;
    peer.wanted = true;
    return;
  }
  deaf_ = true;  // until it is heard
  if (doorbell == 0 || !os::kHangUpIsHeard || peers_.size() >= kMostPeers) return;
  os::Descriptor fd = os::open_bell(doorbell, trust_);
  if (!fd || !set_.add_hang_up(fd.get(), doorbell)) return;
  peers_.push_back(Watched{doorbell, std::move(fd), true});
  deaf_ = false;
}

void Bell::end_watching() {
  std::erase_if(peers_, [this](const Watched& peer) {
    if (!peer.wanted) set_.remove(peer.fd.get());
    return !peer.wanted;
  });
}

void Bell::alarm(std::uint64_t ns) noexcept {
  set_.alarm(std::max<std::uint64_t>(std::min({ns, kSafetyNs, deaf_ ? kDeafNs : kSafetyNs}), 1));
}

}  // namespace millrace::capi
