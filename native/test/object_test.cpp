#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>

#include <millrace/os/object.hpp>

#include "fixture.hpp"

namespace millrace::test::object_test {

using namespace millrace;
using namespace millrace::test;

TEST_CASE_FIXTURE(Names, "only 0600, 0640 and 0660 are modes of ours") {
  for (unsigned mode = 0; mode <= 07777; ++mode) {
    CAPTURE(mode);
    CHECK(os::check_mode(mode).ok() == (mode == 0600 || mode == 0640 || mode == 0660));
  }
}

TEST_CASE_FIXTURE(Names, "an object is created once, opened by name and removed") {
  const std::string object = name();
  auto first = os::create_object(object, 0600);
  REQUIRE(first.ok());
  auto second = os::create_object(object, 0600);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::exists);
  CHECK(os::open_object(object, os::Access::read_only).ok());
  os::unlink_object(object);
  auto gone = os::open_object(object, os::Access::read_only);
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == Code::not_found);
}

TEST_CASE_FIXTURE(Names, "descriptors are not inherited by programs that are started") {
  auto made = os::create_object(name(), 0600);
  REQUIRE(made.ok());
  CHECK((::fcntl(made.value().get(), F_GETFD) & FD_CLOEXEC) != 0);
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Names, "more memory than there is fails at once and leaves nothing allocated") {
  auto made = os::create_object(name(), 0600);
  REQUIRE(made.ok());
  auto allocated = os::allocate_object(made.value().get(), 1ULL << 50U, name());
  REQUIRE_FALSE(allocated.ok());
  CHECK(allocated.error().code == Code::no_space);
  CHECK(must(os::inspect_object(made.value().get(), name())).size == 0);
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Names, "a stranger's object and one with wider rights are not ours") {
  os::ObjectFacts facts;
  facts.owner = 1000;
  facts.mode = 0640;
  CHECK(os::check_ours(facts, 1000, 0660, "x").ok());
  CHECK(os::check_ours(facts, 1000, 0640, "x").ok());
  CHECK_FALSE(os::check_ours(facts, 1000, 0600, "x").ok());
  CHECK_FALSE(os::check_ours(facts, 1001, 0640, "x").ok());
}

#if defined(__linux__)
TEST_CASE_FIXTURE(Names, "a symbolic link in our way is refused") {
  const std::string path = os::object_path(name());
  REQUIRE(::symlink("/etc/hostname", path.c_str()) == 0);
  auto opened = os::open_object(name(), os::Access::read_write);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::not_ours);
  CHECK_FALSE(os::create_object(name(), 0600).ok());
  ::unlink(path.c_str());
}
#endif

}  // namespace millrace::test::object_test
