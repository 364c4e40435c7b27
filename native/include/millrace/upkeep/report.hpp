// What is told about one object: its kind, its condition, who holds it; and what a sweep is asked for.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

enum class Condition {
  in_use,        // a living process holds it, or is creating or leaving it
  abandoned,     // whoever held it is dead
  half_created,  // its creator died before it was finished
  corrupt,       // ours, and damaged; nobody holds it
  kept,          // nobody holds it, and it waits for whoever comes next
  foreign,       // not ours: never removed
  unknown,       // cannot be told: never removed
};

struct Holder {
  std::string role;
  std::uint32_t pid = 0;  // 0: not recorded
  bool alive = false;
  std::uint64_t doorbell = 0;
};

struct ObjectReport {
  std::string kind;  // "queue", "doorbell", …
  std::string name;  // as whoever opens it says it; of a doorbell its id
  Condition condition = Condition::unknown;
  std::string detail;  // what the condition alone does not tell
  std::string path;
  std::uint64_t size = 0;  // bytes
  uid_t owner = 0;
  mode_t mode = 0;
  std::int64_t created_ms = 0;  // since 1970; 0: unknown
  std::uint16_t major = 0;      // of the layout; 0: it has none
  std::uint16_t minor = 0;
  std::uint32_t creator_pid = 0;
  std::vector<Holder> holders;  // living ones, and dead ones that were never replaced
};

struct SweepSpec {
  std::string prefix;       // of names; with one, doorbells only go with what they belonged to
  bool kept = false;        // also what waits for whoever comes next
  bool semaphores = false;  // also named semaphores that nobody has open, whoever made them
  bool dry_run = false;
};

struct Swept {
  ObjectReport object;
  bool removed = false;  // with dry_run: would have been
};

}  // namespace millrace
