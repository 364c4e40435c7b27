// A raw piece of memory: byte 0 is the user's byte 0, so that a program in any language can open it.
//
// Under a name, ownership lives beside it, in a companion segment (memory_companion.hpp): only an object that a
// dead owner of ours made is ever reclaimed.
// Without a name and in a file there is nothing to be reclaimed, and so no companion: the locks are on
// the memory itself, at the same bytes as a segment's.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "memory_companion.hpp"
#include "os/clock.hpp"
#include "os/file_lock.hpp"
#include "os/mapping.hpp"
#include "os/object.hpp"
#include "place.hpp"
#include "result.hpp"
#include "segment.hpp"
#include "unlink.hpp"

namespace millrace {

class SharedMemory {
 public:
  // Creates the object and owns it: close() removes it. exists if there is one, unless its owner and all
  // openers are dead.
  static Result<std::unique_ptr<SharedMemory>> create(const MemorySpec& spec,
                                                      const os::Deadline& deadline) {
    if (auto possible = check(spec); !possible.ok()) return possible.error();
    if (spec.size == 0) {
      return make_error(Code::invalid_argument, "size is 0; give the number of bytes to share");
    }
    if (!spec.place.is_name()) return create_bare(spec, deadline);
    const SegmentSpec companion = detail::companion_spec(spec);
    auto entered =
        Segment::enter(companion, Entry::attach_or_create, deadline, detail::judge_companion);
    if (!entered.ok()) return entered.error();

    std::unique_ptr<SharedMemory> self(new SharedMemory);
    self->companion_ = entered.take();
    Segment& segment = *self->companion_;
    if (!segment.created() && !segment.orphaned()) return detail::memory_in_use(segment);
    auto made = self->create_object(spec);
    if (!made.ok()) {
      segment.unlink();  // the companion; a foreign object stays as it is
      return made.error();
    }
    MILLRACE_CRASH_POINT("memory.create.filled");
    auto claimed = segment.claim(detail::owner_record(segment), layout::kOwnerRole, 0, "owner");
    if (!claimed.ok()) return claimed.error();
    // Not by way of the companion's spec: a dead owner's schema is no reason to refuse.
    segment.header().schema.store(spec.schema, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("memory.create.claimed");
    segment.settle();
    self->owner_ = true;
    return self;
  }

  // Opens an object that any program made. Read-only: the memory can be read; a stray write changes a
  // private copy of that page only. What millrace made and no living process has open does not exist any more, as
  // every other channel: it is removed, and not_found.
  static Result<std::unique_ptr<SharedMemory>> open(const MemorySpec& spec, os::Access access,
                                                    const os::Deadline& deadline) {
    if (auto possible = check(spec); !possible.ok()) return possible.error();
    if (!spec.place.is_name()) return open_bare(spec, access, deadline);
    std::unique_ptr<SharedMemory> self(new SharedMemory);
    self->place_ = spec.place;
    bool used_by_strangers = false;
    for (;;) {
      auto pinned = self->pin(spec, deadline);
      if (!pinned.ok()) return pinned.error();
      if (pinned.value() && !used_by_strangers && !self->anyone_else()) {
        self->unpin();
        auto reclaimed = reclaim(spec, deadline);
        if (!reclaimed.ok()) return reclaimed.error();
        used_by_strangers = !reclaimed.value();
        continue;  // to what has come meanwhile, or lies there without being ours
      }
      if (auto agreed = self->agree_on_schema(spec.schema); !agreed.ok()) return agreed.error();
      auto mapped = self->map_existing(spec, access);
      // A creator cannot replace the object between our pin and our look: it needs the lock we share.
      if (pinned.value()) {
        self->pin_lock_.unlock(layout::kLifecycleByte);
      } else if (detail::companion_exists(self->name()) && !deadline.passed()) {
        continue;  // created meanwhile: what we mapped may be an object that we have not pinned
      }
      if (!mapped.ok()) return mapped.error();
      return self;
    }
  }

  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() { close(); }

  [[nodiscard]] const os::MappingPtr& memory() const noexcept { return memory_; }
  [[nodiscard]] bool owner() const noexcept { return owner_; }
  [[nodiscard]] bool read_only() const noexcept { return read_only_; }
  // The name, the path of the file, or "nameless:" and a number.
  [[nodiscard]] const std::string& name() const noexcept { return place_.title(); }
  [[nodiscard]] std::string path() const {
    return place_.is_name() ? os::object_path(name()) : place_.path();
  }

  // To be asked before the memory is touched by address: somebody may have truncated its file, and a
  // touch beyond its end would kill the process. One system call for a file, none otherwise.
  [[nodiscard]] Result<void> check_intact() const {
    if (!place_.is_file() || !memory_) return {};
    auto facts = os::inspect_object(fd_.get(), path());
    if (!facts.ok()) return facts.error();
    if (facts.value().size >= memory_->size()) return {};
    return make_error(Code::corrupt,
                      "the file '" + path() + "' was truncated to " +
                          std::to_string(facts.value().size) + " of its " +
                          std::to_string(memory_->size()) +
                          " bytes while it was open; close it, and make it anew",
                      path());
  }
  // Returns when all of a file that was written is on its disk. Any thread may call it; `memory` and `fd`
  // outlive the call. Memory without a file has nothing to be flushed to.
  static Result<void> flush(const os::Mapping& memory, const std::string& path) {
    if (::msync(memory.data(), memory.size(), MS_SYNC) == 0) return {};
    return system_error("msync", errno, path);
  }

  // The owner's close removes the object; others keep what they have mapped. With zeroOnClose the owner
  // overwrites it first, whoever else maps it.
  void close() noexcept {
    if (owner_ && zero_on_close_ && memory_) os::wipe(memory_->data(), memory_->size());
    memory_.reset();
    if (fd_) bare_lock_.unlock_all();  // a map that JavaScript holds would keep them
    bare_lock_ = os::FileLock();
    fd_.reset();
    if (companion_ && owner_) {
      const bool locked = companion_->lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
      // A companion without a name: the object's was taken, too, and may be somebody else's by now.
      if (locked && !companion_->unlinked())
        detail::remove_own_object(*companion_, identity_, size_);
      MILLRACE_CRASH_POINT("memory.close.removed");
      if (companion_->intact()) {
        companion_->resign(detail::owner_record(*companion_), layout::kOwnerRole);
        MILLRACE_CRASH_POINT("memory.close.resigned");
        if (locked) companion_->unlink();
      } else {
        companion_->forsake();
      }
      owner_ = false;
    }
    companion_.reset();
    pin_lock_ = os::FileLock();
    pin_fd_.reset();
  }

  // Removes the name, whoever uses the memory. True if there was one.
  static Result<bool> unlink(const std::string& name) {
    if (auto named = check_memory_name(name); !named.ok()) return named.error();
    // The memory first, and both under the companion's lock: killed in between, we leave nothing that only
    // its name tells to be ours, and nobody can make a new one that we would take for the old.
    auto companion = detail::LockedName::take(object_name_of('m', name), name);
    if (!companion.ok()) return companion.error();
    auto removed = os::remove_object(name);
    if (!removed.ok()) return removed;
    MILLRACE_CRASH_POINT("memory.unlink.companion");
    auto also = companion.value().remove();
    if (!also.ok()) return also;
    return removed;
  }

 private:
  SharedMemory() = default;

  static Result<void> check(const MemorySpec& spec) {
    if (auto possible = spec.place.check_wipe(spec.memory); !possible.ok()) return possible;
    if (spec.place.is_name()) return check_memory_name(spec.place.title());
    if (auto possible = spec.place.check(); !possible.ok()) return possible;
    if (spec.schema == 0) return {};
    return make_error(Code::invalid_argument,
                      "a schema is recorded beside the memory, under its name, and '" +
                          spec.place.title() + "' has none; leave the schema out, or use a name");
  }
  // Takes what is nameless, or a file, under its lifecycle lock.
  Result<os::ObjectFacts> enter_bare(const MemorySpec& spec, bool exclusively,
                                     const os::Deadline& deadline) {
    auto facts = os::inspect_object(fd_.get(), path());
    if (!facts.ok()) return facts;
    auto ours = os::check_ours(facts.value(), spec.owner.value_or(::geteuid()), spec.mode, path());
    if (!ours.ok()) return ours.error();
    auto lock = place_.lock_over(fd_.get(), spec.mode);
    if (!lock.ok()) return lock.error();
    bare_lock_ = lock.take();
    while (!(exclusively ? bare_lock_.try_exclusive(layout::kLifecycleByte)
                         : bare_lock_.try_shared(layout::kLifecycleByte))) {
      if (deadline.passed()) return detail::memory_being_created(name());
      os::sleep_ns(100'000);
    }
    return os::inspect_object(fd_.get(), path());
  }
  static Result<std::unique_ptr<SharedMemory>> create_bare(const MemorySpec& spec,
                                                           const os::Deadline& deadline) {
    std::unique_ptr<SharedMemory> self(new SharedMemory);
    self->place_ = spec.place;
    Place& place = self->place_;
    auto made = place.is_file() ? place.create(spec.mode) : place.open(os::Access::read_write);
    if (!made.ok()) return made.error();
    self->fd_ = made.take();
    auto facts = self->enter_bare(spec, true, deadline);
    if (!facts.ok()) return facts.error();
    auto filled = self->fill_bare(spec);
    if (!filled.ok()) {
      if (place.unpublished()) place.remove();
      return filled.error();
    }
    MILLRACE_CRASH_POINT("memory.bare.filled");
    if (auto published = place.publish(self->fd_.get()); !published.ok()) {
      if (published.error().code == Code::exists) {
        published.error().message =
            "the file '" + place.title() + "' exists; open it instead, or unlink it first";
      }
      return published.error();
    }
    self->owner_ = true;
    self->zero_on_close_ = spec.memory.zero_on_close;
    self->bare_lock_.unlock(layout::kLifecycleByte);
    return self;
  }
  Result<void> fill_bare(const MemorySpec& spec) {
    if (bare_lock_.held_by_other(layout::kFirstRoleByte, 0)) {
      return make_error(
          Code::exists,
          "'" + name() + "' is in use already; open it instead, or use a new NamelessSegment");
    }
    if (auto set = place_.set_mode(fd_.get(), spec.mode); !set.ok()) return set;
    if (place_.is_nameless()) {
      if (auto emptied = place_.empty(fd_.get(), spec.size); !emptied.ok()) return emptied;
    }
    MILLRACE_CRASH_POINT("memory.bare.empty");
    if (auto sized = place_.allocate(fd_.get(), spec.size); !sized.ok()) return sized;
    auto mapped = os::map_shared(fd_.get(), 0, spec.size, path(), spec.memory);
    if (!mapped.ok()) return mapped.error();
    memory_ = mapped.take();
    MILLRACE_CRASH_POINT("memory.bare.mapped");
    (void)bare_lock_.try_exclusive(layout::kFirstRoleByte + layout::kOwnerRole);
    return {};
  }
  static Result<std::unique_ptr<SharedMemory>> open_bare(const MemorySpec& spec, os::Access access,
                                                         const os::Deadline& deadline) {
    std::unique_ptr<SharedMemory> self(new SharedMemory);
    self->place_ = spec.place;
    auto opened = self->place_.open(access);
    if (!opened.ok()) return opened.error();
    self->fd_ = opened.take();
    auto facts = self->enter_bare(spec, false, deadline);
    if (!facts.ok()) return facts.error();
    const std::uint64_t size = facts.value().size;
    if (size == 0) {
      return self->place_.is_file()
                 ? make_error(Code::corrupt,
                              "the file '" + self->name() +
                                  "' is empty; it was truncated or is not shared memory: remove it")
                 : make_error(
                       Code::not_found,
                       "'" + self->name() +
                           "' holds no memory (yet); create it first, or wait for its creator");
    }
    if (auto steady = self->place_.check_steady(self->fd_.get()); !steady.ok()) {
      return steady.error();
    }
    self->read_only_ = access == os::Access::read_only;
    auto mapped = self->read_only_
                      ? os::map_private(self->fd_.get(), 0, size, self->path(), spec.memory)
                      : os::map_shared(self->fd_.get(), 0, size, self->path(), spec.memory);
    if (!mapped.ok()) return mapped.error();
    self->memory_ = mapped.take();
    (void)self->bare_lock_.try_shared(layout::kFirstRoleByte + layout::kOpenerRole);
    self->bare_lock_.unlock(layout::kLifecycleByte);
    return self;
  }

  static Result<void> check_memory_name(const std::string& name) {
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
  [[nodiscard]] layout::MemoryRecord& record() const noexcept {
    return detail::memory_record(*companion_);
  }

  // Under the companion's lifecycle lock.
  Result<void> create_object(const MemorySpec& spec) {
    place_ = spec.place;
    zero_on_close_ = spec.memory.zero_on_close;
    detail::remove_stale_object(*companion_);
    record().identity.store(0, std::memory_order_relaxed);
    record().size.store(spec.size, std::memory_order_relaxed);
    record().creating.store(1, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("memory.create.announced");
    auto created = os::create_object(name(), spec.mode);
    if (!created.ok()) {
      if (created.error().code == Code::exists) {
        const auto owner = os::owner_of_object(name());
        if (owner && *owner != ::geteuid()) return os::another_users(path(), *owner, ::geteuid());
        created.error().message = "'" + path() +
                                  "' exists and was not made by millrace; open it, choose another "
                                  "name, or unlink it if it is a leftover";
      }
      return created.error();
    }
    MILLRACE_CRASH_POINT("memory.create.opened");
    const os::Descriptor fd = created.take();
    auto done = fill(fd.get(), spec);
    if (!done.ok()) os::unlink_object(name());
    return done;
  }
  Result<void> fill(int fd, const MemorySpec& spec) {
    const std::string path = this->path();
    auto facts = os::inspect_object(fd, path);
    if (!facts.ok()) return facts.error();
    identity_ = facts.value().identity;
    size_ = spec.size;
    record().identity.store(identity_, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("memory.create.identified");
    if (auto set = os::set_object_mode(fd, spec.mode, path); !set.ok()) return set;
    if (auto sized = os::allocate_object(fd, spec.size, path); !sized.ok()) return sized;
    MILLRACE_CRASH_POINT("memory.create.sized");
    record().creating.store(0, std::memory_order_relaxed);
    auto mapped = os::map_shared(fd, 0, spec.size, path, spec.memory);
    if (!mapped.ok()) return mapped.error();
    memory_ = mapped.take();
    return {};
  }

  Result<void> map_existing(const MemorySpec& spec, os::Access access) {
    auto opened = os::open_object(name(), access);
    if (!opened.ok()) {
      if (opened.error().code == Code::not_found) {
        opened.error().message = detail::memory_absent(name()).message;
      }
      return os::explain_refusal(opened.error(), name(), spec.owner.value_or(::geteuid()));
    }
    const os::Descriptor fd = opened.take();
    const std::string path = this->path();
    auto facts = os::inspect_object(fd.get(), path);
    if (!facts.ok()) return facts.error();
    auto ours = os::check_ours(facts.value(), spec.owner.value_or(::geteuid()), spec.mode, path);
    if (!ours.ok()) return ours.error();
    if (facts.value().size == 0) {
      return make_error(Code::not_found,
                        "shared memory '" + name() +
                            "' has no size yet; its creator has not finished, wait for it");
    }
    const std::uint64_t size = exact_size(facts.value());
    auto mapped = access == os::Access::read_only
                      ? os::map_private(fd.get(), 0, size, path, spec.memory)
                      : os::map_shared(fd.get(), 0, size, path, spec.memory);
    if (!mapped.ok()) return mapped.error();
    memory_ = mapped.take();
    read_only_ = access == os::Access::read_only;
    return {};
  }

  // The size that the creator asked for, where the system rounds up to pages and a companion tells.
  [[nodiscard]] std::uint64_t exact_size(const os::ObjectFacts& facts) const {
    const os::MappingPtr companion = map_companion();
    if (!companion) return facts.size;
    const auto* recorded = reinterpret_cast<const layout::MemoryRecord*>(
        companion->data() + layout::kMemoryRecordOffset);
    const std::uint64_t asked = recorded->size.load(std::memory_order_relaxed);
    return os::allocated_size(asked) == facts.size ? asked : facts.size;
  }
  // Only the creator states a schema; memory that another program made has none.
  [[nodiscard]] Result<void> agree_on_schema(std::uint64_t stated) const {
    const os::MappingPtr companion = stated == 0 ? nullptr : map_companion();
    if (!companion) return {};
    const auto* head = reinterpret_cast<const layout::Header*>(companion->data());
    if (head->magic != layout::kMagic || head->major != layout::kMajor) return {};
    const std::uint64_t found = head->schema.load(std::memory_order_relaxed);
    if (found == 0 || found == stated) return {};
    return schema_differs(name(), found, stated, path());
  }
  // Of the object we pinned, to be read; nothing if there is none.
  [[nodiscard]] os::MappingPtr map_companion() const {
    if (!pin_fd_) return nullptr;
    auto facts = os::inspect_object(pin_fd_.get(), path());
    if (!facts.ok() || facts.value().size < os::page_size()) return nullptr;
    auto mapped = os::map_private(pin_fd_.get(), 0, os::page_size(), path());
    return mapped.ok() ? mapped.take() : nullptr;
  }

  // Does anybody beside us use the object that we have pinned?
  [[nodiscard]] bool anyone_else() const noexcept {
    return pin_lock_.held_by_other(layout::kFirstRoleByte, 0);
  }
  void unpin() noexcept {
    pin_lock_ = os::FileLock();
    pin_fd_.reset();
  }
  // Removes an object whose owner and openers are all dead, unless somebody comes meanwhile. False: it cannot be, because a
  // program that does not use millrace has it open, or because nothing tells whether it is ours. What another user left, only that user can remove: not_found.
  static Result<bool> reclaim(const MemorySpec& spec, const os::Deadline& deadline) {
    auto entered = Segment::enter(detail::companion_spec(spec), Entry::attach_only, deadline,
                                  detail::judge_companion);
    if (!entered.ok()) {
      const Code code = entered.error().code;
      // One that its maker was killed over says nothing, and stays: what is there without it is not ours to remove.
      if (code == Code::not_found) return !detail::companion_exists(spec.place.title());
      if (code == Code::permission || code == Code::not_ours)
        return detail::memory_absent(spec.place.title());
      return entered.error();
    }
    Segment companion = entered.take();
    const bool orphaned = companion.orphaned();
    const bool removed =
        orphaned && detail::remove_unless_open(companion.name(), detail::memory_record(companion));
    MILLRACE_CRASH_POINT("memory.reclaim.removed");
    if (removed) companion.unlink();
    companion.settle();
    return removed || !orphaned;
  }
  // Says that we use the object, so that nobody takes it for stale. Objects made by other programs have
  // no companion; then there is nothing to pin (false). True: pinned, and still sharing the lifecycle lock.
  Result<bool> pin(const MemorySpec& spec, const os::Deadline& deadline) {
    const std::string object = object_name_of('m', name());
    for (;;) {
      auto opened = os::open_object(object, os::Access::read_only);
      if (!opened.ok()) {
        if (opened.error().code != Code::not_found) {
          return os::explain_refusal(opened.error(), object, spec.owner.value_or(::geteuid()));
        }
        return false;
      }
      os::Descriptor fd = opened.take();
      const std::string path = os::object_path(object);
      auto facts = os::inspect_object(fd.get(), path);
      if (!facts.ok()) return facts.error();
      auto ours = os::check_ours(facts.value(), spec.owner.value_or(::geteuid()), spec.mode, path);
      if (!ours.ok()) return ours.error();
      auto lock = os::FileLock::over(fd.get(), object, spec.mode);
      if (!lock.ok()) return lock.error();
      // Shared with other openers, excluded from the creator's reclaiming.
      while (!lock.value().try_shared(layout::kLifecycleByte)) {
        if (deadline.passed()) {
          return detail::memory_being_created(name());
        }
        os::sleep_ns(100'000);
      }
      if (!lock.value().confirm(fd, object, os::Access::read_only)) continue;
      (void)lock.value().try_shared(layout::kFirstRoleByte + layout::kOpenerRole);
      MILLRACE_CRASH_POINT("memory.open.pinned");
      pin_lock_ = lock.take();
      pin_fd_ = std::move(fd);
      return true;
    }
  }

  os::MappingPtr memory_;
  std::optional<Segment> companion_;
  os::Descriptor pin_fd_;
  os::FileLock pin_lock_;
  Place place_;
  std::uint64_t identity_ = 0;  // of the object we own
  std::uint64_t size_ = 0;      // its bytes, as recorded
  os::Descriptor fd_;           // of what has no companion
  os::FileLock bare_lock_;      // on it
  bool owner_ = false;
  bool zero_on_close_ = false;
  bool read_only_ = false;
};

}  // namespace millrace
