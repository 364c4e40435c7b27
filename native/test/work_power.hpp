// A machine that loses its power, for tests of queues on disk: memory, and a disk to which the system writes any sector of it
// at any time, in any order, and all of them only when it is asked to sync. A cut leaves what is on the disk.
//
// What may be on the disk of a job is known at each point: what it was when the last sync that has ended began, and whatever it
// has been since. A recovery must find one of these, and nothing else.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "fixture.hpp"

namespace millrace::test {

inline constexpr std::size_t kSector = 512;
inline constexpr std::uint64_t kInstance = 0x5EED'0F'A'0'0B5E55EDULL;

class Bytes {
 public:
  explicit Bytes(std::size_t size) : size_(size) {
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    at_ = static_cast<std::byte*>(at);
  }
  Bytes(const Bytes& other) : Bytes(other.size_) { *this = other; }
  Bytes& operator=(const Bytes& other) {
    if (this != &other) std::memcpy(at_, other.at_, size_);
    return *this;
  }
  ~Bytes() { ::munmap(at_, size_); }
  [[nodiscard]] std::byte* at() const noexcept { return at_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t sectors() const noexcept { return size_ / kSector; }

 private:
  std::byte* at_ = nullptr;
  std::size_t size_ = 0;
};

// A disk: the system writes any sector of `memory` to it at any time, in any order, and all of them only for a sync.
class Disk {
 public:
  // `lazy`: the system writes little by itself.
  Disk(Bytes& memory, Random& random, bool lazy)
      : memory_(&memory),
        random_(&random),
        lazy_(lazy),
        content_(memory.size()),
        before_(memory.size()) {}

  [[nodiscard]] const Bytes& content() const noexcept { return content_; }
  // Something is about to be done in memory; and then the system writes.
  void begin_step() { before_ = *memory_; }
  // Of some sectors, what is there now; of some, words of before and after the step, as if they were written during it.
  void write_back() {
    for (std::uint64_t many = random_->below(lazy_ ? 3 : 12); many > 0; --many)
      write(random_->below(content_.sectors()));
    for (std::uint64_t many = random_->below(3); many > 0; --many) {
      const std::size_t at = random_->below(content_.sectors()) * kSector;
      const std::uint64_t mix = random_->next();
      if (synced_.contains(at / kSector)) continue;
      for (std::size_t word = 0; word < kSector / 8; ++word) {
        const Bytes& from = (mix >> word & 1U) != 0 ? *memory_ : before_;
        std::memcpy(content_.at() + at + word * 8, from.at() + at + word * 8, 8);
      }
    }
    // A sync writes what is there when it comes to it.
    if (sync_left_ > 0) {
      for (std::size_t sector = 0; sector < content_.sectors(); ++sector) {
        if (!synced_.contains(sector) && random_->chance(30)) write(sector);
      }
    }
  }
  void write_what_changed() {
    for (std::size_t sector = 0; sector < content_.sectors(); ++sector) {
      const std::size_t at = sector * kSector;
      if (std::memcmp(memory_->at() + at, before_.at() + at, kSector) != 0) write(sector);
    }
  }
  [[nodiscard]] bool syncs() const noexcept { return sync_left_ > 0; }
  void begin_sync() {
    sync_left_ = 1 + static_cast<int>(random_->below(6));
    synced_.clear();
  }
  // One step on with the sync that is under way, if there is one. True: it has ended.
  [[nodiscard]] bool step_sync() {
    if (sync_left_ == 0 || --sync_left_ > 0) return false;
    for (std::size_t sector = 0; sector < content_.sectors(); ++sector) {
      if (!synced_.contains(sector)) write(sector);
    }
    synced_.clear();
    return true;
  }
  // The power was cut: memory is what the disk has.
  void start() {
    *memory_ = content_;
    sync_left_ = 0;
    synced_.clear();
  }

 private:
  void write(std::size_t sector) {
    std::memcpy(content_.at() + sector * kSector, memory_->at() + sector * kSector, kSector);
    if (sync_left_ > 0) synced_.insert(sector);
  }

  Bytes* memory_;
  Random* random_;
  bool lazy_;
  Bytes content_;
  Bytes before_;
  std::set<std::size_t> synced_;  // sectors that the sync under way has written
  int sync_left_ = 0;             // steps that it still takes
};

// A queue in such bytes, as whoever has them open sees it.
struct Open {
  Open(const Bytes& bytes, const WorkShape& shape, std::uint64_t instance = kInstance)
      : base(bytes.at()),
        memory(base, base + shape.data_at(), shape),
        own(std::make_unique<layout::SeatRecord>()),
        store(std::make_unique<JobStore>(memory, 1, *own, instance)) {}

  void recover() const {
    Recovery(base, memory, store->records()).from_records(store->recovery_hooks());
    store->balance();
  }

  std::byte* base;
  WorkMemory memory;
  std::unique_ptr<layout::SeatRecord> own;
  std::unique_ptr<JobStore> store;
};

// What a job is, as far as a disk knows it.
struct Known {
  bool dead = false;
  bool delayed = false;
  std::uint8_t stage = 0;
  std::uint8_t attempt = 0;
  auto operator<=>(const Known&) const = default;
};
using Presence = std::optional<Known>;  // nothing: there is no such job
using Census = std::map<std::uint32_t, Known>;

// Everything of a job follows from its number.
struct Plan {
  explicit Plan(std::uint32_t number)
      : number(number),
        payload(number % 7 == 0 ? std::string() : std::string(4 + number * 37 % 1500, '\0')),
        id(number % 3 == 0 ? "id-" + std::to_string(number) : ""),
        group(number % 4 == 1 ? "group-" + std::to_string(number % 5) : ""),
        headers("#" + std::to_string(number)),
        level(static_cast<std::uint8_t>(number % 3)),
        stage(static_cast<std::uint8_t>(number / 3 % 2)),
        delayed(number % 11 == 5) {
    for (std::size_t i = 0; i < payload.size(); ++i)
      payload[i] = static_cast<char>(number * 131 + i * (number % 5 + 1));
  }
  [[nodiscard]] PushOptions options() const {
    PushOptions options;
    options.level = level;
    options.stage = stage;
    options.id = id;
    options.group = group;
    options.headers = std::as_bytes(std::span(headers));
    if (delayed) options.delay_ns = 3600 * kSecond;
    if (number % 13 == 2) options.ttl_ns = 7200 * kSecond;
    return options;
  }

  std::uint32_t number;
  std::string payload, id, group, headers;
  std::uint8_t level, stage;
  bool delayed;
};

// The number of the job in that slot; fails if anything of it is not what it was pushed as.
inline std::uint32_t number_of(const Open& open, std::uint32_t slot) {
  JobFacts facts;
  REQUIRE(open.store->facts(slot, facts));
  const std::string headers(reinterpret_cast<const char*>(facts.headers.data()),
                            facts.headers.size());
  REQUIRE(headers.size() >= 2);
  REQUIRE(headers[0] == '#');
  const auto number = static_cast<std::uint32_t>(std::stoul(headers.substr(1)));
  const Plan plan(number);
  CAPTURE(number);
  CHECK(headers == plan.headers);
  CHECK(facts.id == plan.id);
  CHECK(facts.group == plan.group);
  CHECK(facts.level == plan.level);
  CHECK(std::string(reinterpret_cast<const char*>(open.memory.data() + facts.at), facts.length) ==
        plan.payload);
  return number;
}

// All jobs that there are; of one that is being worked on, what is known is what `before` says.
inline Census census(const Open& open, const Census& before = {}) {
  Census found;
  for (std::uint32_t index = 0; index < open.memory.shape().slots(); ++index) {
    const layout::Slot& slot = open.memory.slot(index);
    const layout::Word word = layout::unpack(slot.word.load());
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare) continue;
    const std::uint32_t number = number_of(open, index);
    Known known;
    known.dead = word.state == layout::SlotState::dead;
    known.delayed = !known.dead && slot.due.load() > os::monotonic_ns();
    known.stage = slot.stage.load();
    known.attempt = word.attempt;
    if (word.state == layout::SlotState::leased) {
      const auto was = before.find(number);
      REQUIRE(was != before.end());
      known = was->second;
    }
    CHECK_MESSAGE(found.emplace(number, known).second, "job " << number << " is there twice");
  }
  return found;
}

class Machine {
 public:
  // `lazy`: the system writes little by itself but what is new, and syncs are rare: so there are more records than jobs.
  Machine(const WorkShape& shape, std::uint64_t seed, bool lazy = false)
      : shape_(shape),
        lazy_(lazy),
        random_(seed),
        memory_(static_cast<std::size_t>(shape.total_bytes())),
        disk_(memory_, random_, lazy),
        open_(std::make_unique<Open>(memory_, shape)) {
    open_->store->set_up();
  }

  [[nodiscard]] const Census& now() const noexcept { return now_; }
  [[nodiscard]] std::uint32_t pushed() const noexcept { return next_; }
  [[nodiscard]] std::uint32_t confirmed() const noexcept { return confirmed_; }
  // Times that a cut left more records than there are slots.
  [[nodiscard]] std::uint32_t surplus() const noexcept { return surplus_; }
  [[nodiscard]] Random& random() noexcept { return random_; }

  // Something happens to the jobs, and then perhaps to the disk.
  void step() {
    disk_.begin_step();
    JobStore& store = *open_->store;
    const std::uint64_t choice = random_.below(100);
    const std::uint32_t first = next_;
    if (choice < 40) {
      push(store);
    } else if (choice < 62) {
      if (Lease lease =
              store.take(static_cast<std::uint32_t>(random_.below(2)), random_.chance(50)))
        held_.push_back(lease);
    } else if (choice < 94) {
      settle(store);
    } else if (!store.each_dead([&](std::uint32_t slot, std::uint64_t bits) {
                 return random_.chance(50) ? store.redrive(slot, bits) : store.purge(slot, bits);
               })) {
      FAIL("nobody else has the lock");
    } else {
      store.balance();
    }
    const Census next = census(*open_, now_);
    for (const auto& [number, known] : next)
      may_be(number, known);
    for (const auto& [number, known] : now_) {
      if (!next.contains(number)) may_be(number, std::nullopt);
    }
    now_ = next;
    disk_.write_back();
    if (lazy_ && next_ != first && random_.chance(70)) disk_.write_what_changed();
    if (disk_.step_sync()) end_sync();
    if (!disk_.syncs() && random_.chance(lazy_ ? 2 : 8)) begin_sync();
  }

  // What a recovery finds is among what may be there.
  void judge(const Census& found) const {
    for (const auto& [which, states] : may_) {
      const auto& number = which;  // Clang 14 captures no structured bindings
      const auto& may = states;
      CAPTURE(number);
      const auto there = found.find(number);
      const Presence presence = there == found.end() ? Presence() : Presence(there->second);
      CHECK_MESSAGE(may.contains(presence), describe(number, presence, may));
    }
    for (const auto& [which, known] : found) {
      const auto& number = which;
      CHECK_MESSAGE(may_.contains(number), "job " << number << " was never pushed");
    }
  }

  // The power is cut: returns the disk. Then the machine starts with that.
  [[nodiscard]] Bytes cut() const { return disk_.content(); }
  void start() {
    disk_.start();
    open_ = std::make_unique<Open>(memory_, shape_);
    held_.clear();
    const std::uint64_t records = count_records();
    open_->recover();
    if (records > shape_.slots()) ++surplus_;
    const Census found = census(*open_);
    judge(found);
    now_ = found;
    for (auto& [number, may] : may_) {
      const auto there = found.find(number);
      may.insert(there == found.end() ? Presence() : Presence(there->second));
    }
  }

 private:
  using May = std::set<Presence>;

  [[nodiscard]] std::uint64_t count_records() const {
    std::uint64_t found = 0;
    for (std::uint32_t granule = 0; granule < shape_.granules(); ++granule) {
      Record record;
      found += open_->store->records().find(granule, record) == Records::Found::whole ? 1 : 0;
    }
    return found;
  }

  static std::string describe(std::uint32_t number, const Presence& found, const May& may) {
    const auto text = [](const Presence& presence) {
      if (!presence) return std::string("none");
      return std::string(presence->dead      ? "dead"
                         : presence->delayed ? "delayed"
                                             : "live") +
             " in stage " + std::to_string(presence->stage) + " after " +
             std::to_string(presence->attempt);
    };
    std::string all = "job " + std::to_string(number) + " is " + text(found) + ", may be";
    for (const Presence& one : may)
      all += " [" + text(one) + "]";
    return all;
  }

  void push(JobStore& store) {
    const Plan plan(next_);
    const PushOptions options = plan.options();
    Loan loan;
    const std::size_t spare = random_.below(3) * 300;  // more room than is used
    if (store.reserve(plan.payload.size() + spare, options.tail_bytes() + 8, loan) != Pushed::yes)
      return;
    std::memcpy(open_->memory.data() + loan.at, plan.payload.data(), plan.payload.size());
    may_be(next_, std::nullopt);
    const Pushed done = store.push(loan, plan.payload.size(), options);
    store.cancel(loan);
    if (done == Pushed::yes) ++next_;
    CHECK(done != Pushed::duplicate);
  }
  void settle(JobStore& store) {
    if (held_.empty()) return;
    const std::size_t which = random_.below(held_.size());
    Lease lease = held_[which];
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
    const std::uint64_t how = random_.below(100);
    if (how < 50) {
      CHECK(store.complete(lease));
    } else if (how < 60) {
      CHECK(store.release(lease, 0));
    } else if (how < 75) {
      CHECK(store.retry(lease, random_.chance(30) ? 3600 * kSecond : 0, "error"));
    } else if (how < 90) {
      CHECK(store.reject(lease, "never"));
    } else {
      CHECK(store.move_on(lease, static_cast<std::uint8_t>(random_.below(2))));
    }
  }
  void may_be(std::uint32_t number, const Presence& presence) {
    may_[number].insert(presence);
    if (syncing_) since_[number].insert(presence);
  }

  // --- the disk ---

  void begin_sync() {
    open_->memory.control().syncs_begun.fetch_add(1);
    disk_.begin_sync();
    syncing_ = true;
    since_.clear();
    for (auto& [number, may] : may_) {
      const auto there = now_.find(number);
      since_[number].insert(there == now_.end() ? Presence() : Presence(there->second));
    }
  }
  void end_sync() {
    open_->memory.control().syncs_done.store(open_->memory.control().syncs_begun.load());
    syncing_ = false;
    for (auto& [number, since] : since_) {
      may_[number] = since;
      if (since.size() == 1 && since.begin()->has_value()) ++confirmed_;
    }
  }

  WorkShape shape_;
  bool lazy_;
  Random random_;
  Bytes memory_;
  Disk disk_;
  std::unique_ptr<Open> open_;
  std::vector<Lease> held_;
  Census now_;
  std::uint32_t next_ = 1;
  std::uint32_t confirmed_ = 0;
  std::uint32_t surplus_ = 0;
  std::map<std::uint32_t, May> may_;
  std::map<std::uint32_t, May> since_;  // the sync that is under way began
  bool syncing_ = false;
};

}  // namespace millrace::test
