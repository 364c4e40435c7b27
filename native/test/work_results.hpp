// What tests of results share: pipelines without a segment around them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "work_ground.hpp"

namespace millrace::test::work_results {

using work_ground::shape_of;

inline WorkShape stages_of(std::uint32_t stages, std::uint32_t granules,
                           std::uint16_t ordered = 0) {
  WorkShape shape = shape_of(32);
  shape.stages = stages;
  shape.levels = 1;
  shape.bytes = std::uint64_t{granules} * layout::kGranuleBytes;
  shape.dead_bytes = 0;
  shape.attempts = 9;
  shape.ordered = ordered;
  return shape;
}
inline std::string text(std::size_t length, char first = 'a') {
  std::string all(length, '\0');
  for (std::size_t i = 0; i < length; ++i)
    all[i] = static_cast<char>(first + static_cast<char>(i % 23));
  return all;
}
inline Became become(JobStore& store, Lease& lease, std::string_view result,
                     std::uint8_t next = 1) {
  return store.become(lease, std::as_bytes(std::span(result)), next);
}

}  // namespace millrace::test::work_results
