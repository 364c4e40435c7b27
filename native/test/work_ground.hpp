// The jobs of a work queue without a segment around them, for tests of what is done with them.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "fixture.hpp"

namespace millrace::test::work_ground {

inline constexpr std::uint64_t kMs = 1'000'000;

struct Ground {
  explicit Ground(const WorkShape& wanted) : shape(wanted), records(16) {
    bytes = shape.total_bytes();
    base = static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base != MAP_FAILED);
    memory = WorkMemory(base, base + shape.data_at(), shape);
    store(0)->set_up();
  }
  ~Ground() { ::munmap(base, bytes); }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  std::unique_ptr<JobStore> store(std::uint16_t seat) {
    return std::make_unique<JobStore>(memory, seat, records[seat]);
  }

  WorkShape shape;
  std::size_t bytes = 0;
  std::byte* base = nullptr;
  WorkMemory memory;
  std::vector<layout::SeatRecord> records;
};

inline WorkShape shape_of(std::uint32_t jobs, std::uint32_t dead = 4) {
  WorkShape shape;
  shape.seats = 16;
  shape.levels = 4;
  shape.jobs = jobs;
  shape.dead = dead;
  shape.bytes = 64 * 1024;
  shape.dead_bytes = 16 * 1024;
  shape.attempts = 3;
  shape.keys = 64;
  shape.window_ms = 1'000'000;
  return shape;
}

inline Pushed push(JobStore& store, std::string_view payload, const PushOptions& options = {}) {
  Loan loan;
  const Pushed room = store.reserve(payload.size(), options.tail_bytes(), loan);
  if (room != Pushed::yes) return room;
  std::memcpy(store.memory().data() + loan.at, payload.data(), payload.size());
  const Pushed done = store.push(loan, payload.size(), options);
  store.cancel(loan);
  return done;
}
inline JobFacts facts_of(const JobStore& store, std::uint32_t slot) {
  JobFacts facts;
  REQUIRE(store.facts(slot, facts));
  return facts;
}
inline std::string payload_of(const JobStore& store, const Lease& lease) {
  const JobFacts facts = facts_of(store, lease.slot);
  return std::string(reinterpret_cast<const char*>(store.memory().data() + facts.at), facts.length);
}
inline std::string take_all(JobStore& store, std::uint32_t stage = 0) {
  std::string all;
  while (Lease lease = store.take(stage, true)) {
    all += payload_of(store, lease);
    REQUIRE(store.complete(lease));
  }
  return all;
}
inline std::uint64_t counter(const Ground& ground, layout::WorkCount what) {
  return ground.memory.control().counters[static_cast<std::size_t>(what)].load();
}

}  // namespace millrace::test::work_ground
