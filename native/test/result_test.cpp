#include <doctest/doctest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include <millrace/result.hpp>

namespace millrace::test::result_test {

using namespace millrace;

TEST_CASE("every code has a name of its own") {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(Code::system); ++i) {
    names.insert(code_name(static_cast<Code>(i)));
  }
  CHECK(names.size() == static_cast<std::size_t>(Code::system) + 1);
  CHECK(std::string(code_name(Code::role_taken)) == "ROLE_TAKEN");
}

TEST_CASE("a system error names its call, its object, the reason and the cure") {
  const Error error = system_error("shm_open", EACCES, "/dev/shm/x");
  CHECK(error.code == Code::permission);
  CHECK(std::string(error.syscall) == "shm_open");
  CHECK(error.number == EACCES);
  CHECK(error.path == "/dev/shm/x");
  CHECK(error.message.find("shm_open '/dev/shm/x': Permission denied; run both") == 0);
}

TEST_CASE("the errno decides the code") {
  CHECK(code_of_errno(EEXIST) == Code::exists);
  CHECK(code_of_errno(ENOENT) == Code::not_found);
  CHECK(code_of_errno(ENOSPC) == Code::no_space);
  CHECK(code_of_errno(ENAMETOOLONG) == Code::name_too_long);
  CHECK(code_of_errno(EIO) == Code::system);
}

TEST_CASE("a result holds a value or an error, and moves what cannot be copied") {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  REQUIRE(good.ok());
  CHECK(*good.take() == 7);
  const Result<int> bad(make_error(Code::busy, "no"));
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().message == "no");
  CHECK(Result<void>().ok());
  CHECK_FALSE(Result<void>(make_error(Code::busy, "no")).ok());
}

}  // namespace millrace::test::result_test
