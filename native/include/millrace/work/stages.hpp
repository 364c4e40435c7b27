// The names of a pipeline's stages: what they may be, what the geometry knows them by, and where they stand in the segment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../failure.hpp"
#include "../layout/work.hpp"
#include "../result.hpp"
#include "../store/id_hash.hpp"
#include "memory.hpp"

namespace millrace::detail {

// 48 bits of the geometry, never 0: stages of other names, or in another order, are another pipeline.
[[nodiscard]] inline std::uint64_t print_of_stages(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) {
    all += static_cast<char>(name.size());
    all += name;
  }
  const std::uint64_t print = id_hash(all, 0, 0).low >> 16U;
  return print == 0 ? 1 : print;
}

// `decode, load`
[[nodiscard]] inline std::string list_of_stages(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    list += printable(name);
  }
  return list;
}
// Those of them that jobs leave in order.
[[nodiscard]] inline std::string list_of_stages(const std::vector<std::string>& names,
                                                std::uint32_t mask) {
  std::vector<std::string> some;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((mask >> i & 1U) != 0) some.push_back(names[i]);
  }
  return some.empty() ? "none" : list_of_stages(some);
}

// Can there be such stages, of which `ordered` are left in order?
[[nodiscard]] inline Result<void> check_stages(const std::string& title,
                                               const std::vector<std::string>& names,
                                               std::uint32_t ordered) {
  const auto refuse = [&](const std::string& why) {
    return make_error(Code::invalid_argument, "pipeline '" + title + "' " + why);
  };
  if (names.size() > layout::kMaxStages) {
    return refuse("has " + std::to_string(names.size()) + " stages, and may have " +
                  std::to_string(layout::kMaxStages) + ": let one handler do more");
  }
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->empty() || name->size() > layout::kStageNameMost) {
      return refuse("has a stage whose name has " + std::to_string(name->size()) +
                    " bytes: names of stages have 1 to " + std::to_string(layout::kStageNameMost));
    }
    if (std::find(names.begin(), name, *name) != name) {
      return refuse("has two stages '" + printable(*name) + "': give them different names");
    }
  }
  if (!names.empty() && ordered >> (names.size() - 1) != 0) {
    return refuse("cannot be left in order by its last stage '" + printable(names.back()) +
                  "': nothing comes behind it, so there `ordered` orders nothing; leave it out");
  }
  return {};
}

// Under the lifecycle lock, before anybody works on the queue.
inline void write_stages(const WorkMemory& memory, const std::vector<std::string>& names) noexcept {
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), memory.shape().stages); ++i) {
    layout::StageName& name = memory.stage_names()[i];
    const std::size_t length = std::min<std::size_t>(names[i].size(), layout::kStageNameMost);
    name.length = static_cast<std::uint8_t>(length);
    std::memcpy(name.text.data(), names[i].data(), length);
  }
}
// Of a pipeline; else none. Anybody may have written anything there.
[[nodiscard]] inline std::vector<std::string> read_stages(const WorkMemory& memory) {
  std::vector<std::string> names;
  if (!memory.shape().is_pipeline()) return names;
  for (std::uint32_t i = 0; i < memory.shape().stages; ++i) {
    const layout::StageName name = memory.stage_names()[i];
    names.emplace_back(name.text.data(),
                       std::min<std::size_t>(name.length, layout::kStageNameMost));
  }
  return names;
}

}  // namespace millrace::detail
