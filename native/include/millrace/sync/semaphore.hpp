// A POSIX named semaphore: the one that any other program gets by sem_open("/name"). Nothing of millrace
// lies in it or beside it. It counts permits: a wait takes one or waits for one, a post gives some back.
//
// It belongs to nobody and stays until its name is unlinked. A permit whose holder dies is lost, as POSIX
// has it; a lock that survives its holder is a mutex's business, not a semaphore's.
//
// The C library interprets the shared bytes: whoever may write to a semaphore is trusted by those who
// wait on it. That is why owner and mode are validated before it is opened.
#pragma once

#include <fcntl.h>
#include <semaphore.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../os/object.hpp"
#include "../os/semaphore.hpp"
#include "../result.hpp"
#include "../segment.hpp"

namespace millrace {

struct SemaphoreSpec {
  std::string name;           // without a leading slash
  std::uint32_t initial = 0;  // permits; for create
  mode_t mode = 0600;         // of a new one, and the widest accepted of an existing one
  std::optional<uid_t> owner;
};

class Semaphore {
 public:
  // exists if there is one, whoever made it.
  static Result<std::unique_ptr<Semaphore>> create(const SemaphoreSpec& spec) {
    if (auto sound = check(spec); !sound.ok()) return sound.error();
    const std::string posix_name = "/" + spec.name;
    sem_t* made = open_retried(posix_name, O_CREAT | O_EXCL, spec);
    if (made == SEM_FAILED) {
      if (errno == EEXIST) {
        const auto owner = os::owner_of_object(os::semaphore_object(spec.name));
        if (owner && *owner != ::geteuid()) {
          return os::another_users(path_of(spec.name), *owner, ::geteuid());
        }
        return make_error(Code::exists,
                          "semaphore '" + spec.name +
                              "' exists; open it instead, choose another name, or unlink it if it "
                              "is a leftover",
                          path_of(spec.name));
      }
      return os::object_error("sem_open", errno, path_of(spec.name));
    }
    std::unique_ptr<Semaphore> self(new Semaphore(spec.name, made, true));
    MILLRACE_CRASH_POINT("semaphore.create.made");
    if (auto set = os::set_semaphore_mode(spec.name, spec.mode); !set.ok()) {
      ::sem_unlink(posix_name.c_str());
      return set.error();
    }
    return self;
  }

  static Result<std::unique_ptr<Semaphore>> open(const SemaphoreSpec& spec) {
    if (auto sound = check(spec); !sound.ok()) return sound.error();
    const std::string posix_name = "/" + spec.name;
    for (int round = 0; round < kRounds; ++round) {
      auto validated =
          os::ValidatedSemaphore::validate(spec.name, spec.owner.value_or(::geteuid()), spec.mode);
      if (!validated.ok()) {
        if (validated.error().code == Code::not_found) return absent(spec);
        return validated.error();
      }
      sem_t* opened = open_retried(posix_name, 0, spec);
      if (opened == SEM_FAILED) {
        if (errno == ENOENT) return absent(spec);
        return os::object_error("sem_open", errno, path_of(spec.name));
      }
      std::unique_ptr<Semaphore> self(new Semaphore(spec.name, opened, false));
      if (validated.value().still_there()) return self;
    }
    return make_error(
        Code::timeout,
        "semaphore '" + spec.name +
            "' keeps being replaced by another process; find who unlinks it, or try again",
        path_of(spec.name));
  }

  // The one that exists, whatever its value, or a new one with spec.initial permits.
  static Result<std::unique_ptr<Semaphore>> open_or_create(const SemaphoreSpec& spec) {
    for (int round = 0;; ++round) {
      auto opened = open(spec);
      // Its creator sets the final mode right after creating: give it a moment.
      if (!opened.ok() && opened.error().code == Code::permission && round < kMomentsGiven) {
        os::sleep_ns(1'000'000);
        continue;
      }
      if (opened.ok() || opened.error().code != Code::not_found) return opened;
      // What we create is ours, and would be in the way of the one that is waited for.
      if (spec.owner && *spec.owner != ::geteuid()) return opened;
      auto made = create(spec);
      if (made.ok() || made.error().code != Code::exists || round >= kRounds) return made;
    }
  }

  // Removes the name. Who has the semaphore open goes on using it. True if there was one.
  static Result<bool> unlink(const std::string& name) {
    if (auto named = check_semaphore_name(name); !named.ok()) return named.error();
    // Whoever sweeps removes only what nobody has open, and so never one that is made after ours is gone.
    const os::Descriptor pinned = os::pin_semaphore(name);
    if (::sem_unlink(("/" + name).c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    return system_error("sem_unlink", errno, path_of(name));
  }

  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { ::sem_close(semaphore_); }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string path() const { return path_of(name_); }
  [[nodiscard]] bool created() const noexcept { return created_; }

  // The calls below may be made by several threads at once.

  [[nodiscard]] bool try_wait() noexcept {
    return os::retry_eintr([this] { return ::sem_trywait(semaphore_); }) == 0;
  }
  // Spins for `spin_ns`, then sleeps until `timeout_ns` are over. True: got a permit.
  [[nodiscard]] bool wait_for(std::uint64_t spin_ns, std::uint64_t timeout_ns) noexcept {
    if (try_wait()) return true;
    const os::Deadline end = os::Deadline::after(timeout_ns);
    const os::Deadline spin = os::Deadline::after(std::min(spin_ns, timeout_ns));
    while (!spin.passed()) {
      for (int i = 0; i < 64; ++i) {
        if (try_wait()) return true;
        os::spin_hint();
      }
    }
    while (const std::uint64_t left = end.left_ns()) {
      if (os::semaphore_wait_for(semaphore_, std::min(left, kLongestSleepNs))) return true;
    }
    return try_wait();
  }
  // Gives back `count` permits, all of them or none: too_large if the value would pass kSemaphoreMax.
  Result<void> post(std::uint32_t count = 1) {
    if (os::kSemaphoreHasValue && count > 1 && value() > os::kSemaphoreMax - count) {
      return overflow(count, 0);
    }
    for (std::uint32_t posted = 0; posted < count; ++posted) {
      if (::sem_post(semaphore_) == 0) {
        MILLRACE_CRASH_POINT("semaphore.post.posted");
        continue;
      }
      const int number = errno;
      const std::uint32_t kept = posted - take_back(posted);  // others posted at the same time
      if (number == EOVERFLOW) return overflow(count, kept);
      return system_error("sem_post", number, path());
    }
    return {};
  }
  // Permits there at this instant. Meaningless where kSemaphoreHasValue is false.
  [[nodiscard]] std::uint32_t value() const noexcept { return os::semaphore_value(semaphore_); }

 private:
  static constexpr int kRounds = 1000;
  static constexpr int kMomentsGiven = 4;
  // Any time there is can be waited for, whatever a time_t holds and somebody does to the clock.
  static constexpr std::uint64_t kLongestSleepNs = 60'000'000'000;

  Semaphore(std::string name, sem_t* semaphore, bool created)
      : name_(std::move(name)), semaphore_(semaphore), created_(created) {}

  static std::string path_of(const std::string& name) {
    return os::object_path(os::semaphore_object(name));
  }
  static Result<void> check_semaphore_name(const std::string& name) {
    if (auto named = check_name(name); !named.ok()) return named;
    if (name.rfind("millrace.", 0) == 0) {
      return make_error(Code::invalid_name,
                        "the name '" + name + "' starts with 'millrace.', which is reserved");
    }
    if (name.size() > os::kObjectNameMax) {
      return make_error(Code::name_too_long, "the name '" + name + "' is longer than the " +
                                                 std::to_string(os::kObjectNameMax) +
                                                 " characters this system allows");
    }
    return {};
  }
  static Result<void> check(const SemaphoreSpec& spec) {
    if (auto named = check_semaphore_name(spec.name); !named.ok()) return named;
    if (spec.mode != 0600 && spec.mode != 0660) {
      return make_error(Code::invalid_argument,
                        "mode " + os::octal(spec.mode) +
                            " is refused; a semaphore is 0600, or 0660 to let a group in: waiting "
                            "takes the right to write, too");
    }
    if (spec.initial > os::kSemaphoreMax) {
      return make_error(Code::invalid_argument,
                        "a semaphore holds at most " + std::to_string(os::kSemaphoreMax) +
                            " permits, not " + std::to_string(spec.initial));
    }
    return {};
  }
  static sem_t* open_retried(const std::string& posix_name, int flags, const SemaphoreSpec& spec) {
    for (;;) {
      sem_t* opened = ::sem_open(posix_name.c_str(), flags, spec.mode, spec.initial);
      if (opened != SEM_FAILED || errno != EINTR) return opened;
    }
  }
  static Error absent(const SemaphoreSpec& spec) {
    if (os::place_is_missing()) return os::object_error("sem_open", ENOENT, path_of(spec.name));
    return make_error(Code::not_found,
                      "semaphore '" + spec.name +
                          "' does not exist (yet); create it first, or wait for its creator",
                      path_of(spec.name));
  }
  // `kept`: posted and taken by somebody before they could be taken back.
  [[nodiscard]] Error overflow(std::uint32_t count, std::uint32_t kept) const {
    return make_error(
        Code::too_large,
        "semaphore '" + name_ + "' holds at most " + std::to_string(os::kSemaphoreMax) +
            " permits; it has no room for " + std::to_string(count) + " more, and " +
            (kept == 0 ? "none was posted"
                       : std::to_string(kept) + " of them were posted and taken at once"),
        path());
  }
  // How many it got of `count`.
  [[nodiscard]] std::uint32_t take_back(std::uint32_t count) noexcept {
    std::uint32_t taken = 0;
    while (taken < count && try_wait())
      ++taken;
    return taken;
  }

  std::string name_;
  sem_t* semaphore_;
  bool created_;
};

}  // namespace millrace
