// What tests of watching share: a watch with memory of its own, and messages that say of themselves whether they are whole.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <millrace/watch.hpp>

#include "fixture.hpp"

namespace millrace::test {

// A message that was seen, with copies of what lies elsewhere.
struct Sighting {
  Watched head;
  std::string bytes;
  std::string subject, id, group, headers;
};

class Lookout {
 public:
  Lookout(const std::string& name, char letter, bool oldest = false)
      : watch_(must(ChannelWatch::open({name, letter, oldest}))) {}

  // What has come since the last time. As many looks as it takes.
  [[nodiscard]] std::vector<Sighting> read(std::uint64_t most_bytes = ~std::uint64_t{0}) {
    std::vector<Sighting> seen;
    while (look(seen, most_bytes)) {
    }
    return seen;
  }
  // One look. False: there was nothing.
  bool look(std::vector<Sighting>& seen, std::uint64_t most_bytes = ~std::uint64_t{0}) {
    for (;;) {
      WatchSink sink(target_, heads_, most_bytes);
      const auto looked = watch_->look(sink);
      if (!looked.ok()) {
        error = looked.error().code;
        return false;
      }
      if (sink.needed() != 0) {
        target_.resize(sink.needed() + 8);
        continue;
      }
      for (std::size_t i = 0; i < sink.count(); ++i)
        seen.push_back(sighting(heads_[i]));
      return sink.count() != 0;
    }
  }
  [[nodiscard]] std::uint64_t missed() const { return watch_->missed(); }
  void use_memory(std::size_t bytes) { target_.assign(bytes, std::byte{0}); }

  std::optional<Code> error;

 private:
  [[nodiscard]] std::string text(std::uint64_t at, std::uint64_t length) const {
    return {reinterpret_cast<const char*>(target_.data()) + at, static_cast<std::size_t>(length)};
  }
  [[nodiscard]] Sighting sighting(const Watched& head) const {
    Sighting one{head, text(head.at, head.copied), {}, {}, {}, {}};
    std::uint64_t at = head.texts_at;
    one.subject = text(at, head.subject_length);
    one.id = text(at += head.subject_length, head.id_length);
    one.group = text(at += head.id_length, head.group_length);
    one.headers = text(at += head.group_length, head.headers_length);
    return one;
  }

  std::unique_ptr<ChannelWatch> watch_;
  std::vector<std::byte> target_{std::size_t{64} * 1024};
  std::vector<Watched> heads_{64};
};

// Words that all follow from the first one.
inline void fill_stamped(std::span<std::uint64_t> words, std::uint64_t stamp) {
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = i == 0 ? stamp : stamp * 0x9e3779b97f4a7c15ULL + i;
}
inline std::string stamped(std::uint64_t stamp, std::size_t words) {
  std::vector<std::uint64_t> all(words);
  fill_stamped(all, stamp);
  return {reinterpret_cast<const char*>(all.data()), words * 8};
}
// The first word; nothing if the others do not follow from it.
inline std::optional<std::uint64_t> stamp_in(const std::string& bytes) {
  if (bytes.size() < 8 || bytes.size() % 8 != 0) return std::nullopt;
  std::uint64_t stamp = 0;
  std::memcpy(&stamp, bytes.data(), 8);
  return bytes == stamped(stamp, bytes.size() / 8) ? std::optional(stamp) : std::nullopt;
}
// How many words the message of that stamp has.
inline std::size_t words_of(std::uint64_t stamp, std::size_t most) {
  return 1 + stamp * 7 % most;
}

}  // namespace millrace::test
