// What is told about a doorbell. Whether it is dead is judged in os/doorbell.hpp.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "../os/doorbell.hpp"
#include "report.hpp"
#include "roles.hpp"

namespace millrace::detail {

inline ObjectReport report_bell(const os::BellName& bell, os::BellState state) {
  ObjectReport report;
  report.kind = "doorbell";
  report.path = bell.finished ? os::doorbell_path(bell.id) : os::unfinished_bell_path(bell.id);
  report.name = report.path.substr(report.path.find("millrace.d.") + kPrefixLength);
  struct stat status {};
  if (::lstat(report.path.c_str(), &status) == 0) {
    report.owner = status.st_uid;
    report.mode = static_cast<mode_t>(status.st_mode & 07777);
  }
  switch (state) {
    case os::BellState::in_use:
      report.condition = Condition::in_use;
      break;
    case os::BellState::young:
      report.condition = Condition::in_use;
      report.detail = "just created";
      break;
    case os::BellState::dead:
      report.condition = bell.finished ? Condition::abandoned : Condition::half_created;
      break;
    default:
      report.condition = Condition::foreign;
      report.detail = report.owner == ::geteuid()
                          ? "no doorbell of ours"
                          : "belongs to user " + std::to_string(report.owner);
  }
  return report;
}

}  // namespace millrace::detail
