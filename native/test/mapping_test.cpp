#include <cstring>

#include <millrace/os/mapping.hpp>
#include <millrace/os/object.hpp>

#include "fixture.hpp"

namespace millrace::test::mapping_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Object : Names {
  Object() {
    fd = must(os::create_object(name(), 0600));
    REQUIRE(os::allocate_object(fd.get(), 4 * page, name()).ok());
    os::unlink_object(name());
  }
  const std::size_t page = os::page_size();
  os::Descriptor fd;
};

}  // namespace

TEST_CASE_FIXTURE(Object, "a mirror shows the same bytes twice in a row") {
  const auto mirror = must(os::map_mirror(fd.get(), page, 2 * page, name()));
  REQUIRE(mirror->size() == 4 * page);
  std::byte* data = mirror->data();
  for (std::size_t i = 0; i < 2 * page; ++i)
    data[i] = static_cast<std::byte>(i % 251);
  CHECK(std::memcmp(data, data + 2 * page, 2 * page) == 0);
  std::memset(data + 2 * page - 8, 0xAB, 16);  // across the seam
  CHECK(data[0] == std::byte{0xAB});
  CHECK(data[7] == std::byte{0xAB});
  CHECK(data[8] == static_cast<std::byte>(8));
  CHECK(data[4 * page - 1] == std::byte{0xAB});
}

TEST_CASE_FIXTURE(Object, "a mirror stays within its part of the object") {
  const auto whole = must(os::map_shared(fd.get(), 0, 4 * page, name()));
  const auto mirror = must(os::map_mirror(fd.get(), page, page, name()));
  std::memset(mirror->data(), 0xFF, 2 * page);
  CHECK(whole->data()[page - 1] == std::byte{0});
  CHECK(whole->data()[page] == std::byte{0xFF});
  CHECK(whole->data()[2 * page - 1] == std::byte{0xFF});
  CHECK(whole->data()[2 * page] == std::byte{0});
}

TEST_CASE_FIXTURE(Object,
                  "a private map follows the object, but keeps its own stray writes to itself" *
                      doctest::skip(!os::kStrayWritesArePrivate)) {
  const auto shared = must(os::map_shared(fd.get(), 0, 2 * page, name()));
  const auto mine = must(os::map_private(fd.get(), 0, 2 * page, name()));
  shared->data()[5] = std::byte{1};
  CHECK(mine->data()[5] == std::byte{1});
  shared->data()[5] = std::byte{2};
  CHECK(mine->data()[5] == std::byte{2});
  mine->data()[5] = std::byte{3};
  CHECK(shared->data()[5] == std::byte{2});
  shared->data()[page] = std::byte{4};  // the page next door is still shared
  CHECK(mine->data()[page] == std::byte{4});
}

TEST_CASE_FIXTURE(Object, "a private map of a descriptor that may only read takes writes, too" *
                              doctest::skip(!os::kStrayWritesArePrivate)) {
  auto made = must(os::create_object(name("ro"), 0600));
  REQUIRE(os::allocate_object(made.get(), page, name("ro")).ok());
  const os::Descriptor reader = must(os::open_object(name("ro"), os::Access::read_only));
  os::unlink_object(name("ro"));
  CHECK_FALSE(os::map_shared(reader.get(), 0, page, name("ro")).ok());
  const auto mine = must(os::map_private(reader.get(), 0, page, name("ro")));
  mine->data()[0] = std::byte{9};
  CHECK(mine->data()[0] == std::byte{9});
}

TEST_CASE_FIXTURE(Object, "a map that cannot be had is an error that names the object") {
  auto failed = os::map_mirror(-1, 0, page, os::object_path("nothing"));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().path == os::object_path("nothing"));
}

}  // namespace millrace::test::mapping_test
