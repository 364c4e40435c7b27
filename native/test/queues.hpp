// What the tests of a queue share.
#pragma once

#include <cstdint>
#include <memory>

#include <millrace/queue.hpp>

#include "fixture.hpp"

namespace millrace::test {

struct Queues : Names {
  std::uint64_t capacity = 0;

  [[nodiscard]] QueueSpec spec() const { return spec(capacity); }
  [[nodiscard]] QueueSpec spec(std::uint64_t wanted_capacity) const {
    QueueSpec wanted;
    wanted.place = name();
    wanted.capacity = wanted_capacity;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<QueueProducer> producer() const {
    return must(QueueProducer::open(spec(), soon()));
  }
  [[nodiscard]] std::unique_ptr<QueueConsumer> consumer() const {
    return must(QueueConsumer::open(spec(), soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('q', name()), os::Access::read_only).ok();
  }
};

}  // namespace millrace::test
