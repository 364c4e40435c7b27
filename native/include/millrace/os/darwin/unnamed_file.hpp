// macOS has no files without a name.
#pragma once

#include <cerrno>
#include <string>

#include "../file.hpp"

namespace millrace::os {

[[nodiscard]] inline Descriptor create_unnamed_file(const std::string& /*directory*/,
                                                    mode_t /*mode*/) noexcept {
  return {};
}

[[nodiscard]] inline int name_unnamed_file(int /*fd*/, const std::string& /*path*/) noexcept {
  return ENOTSUP;
}

}  // namespace millrace::os
