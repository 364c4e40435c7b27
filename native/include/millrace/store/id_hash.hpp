// What an id or a key of a group is known by: 128 bits of a keyed hash. Texts are compared by nothing else, so two of them must
// never meet by accident, nor because somebody chose them so: hence a hash whose collisions nobody can make who does not know
// the key, which is random and lives in the segment.
//
// Source: SipHash, Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round a word and three at the end,
// and the output of 128 bits that its authors added.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace {

struct IdHash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend bool operator==(const IdHash&, const IdHash&) = default;
};

namespace detail {

template <int kRounds, int kLastRounds>
class SipHash128 {
 public:
  static IdHash of(std::string_view text, std::uint64_t key0, std::uint64_t key1) noexcept {
    SipHash128 state(key0, key1);
    std::size_t at = 0;
    for (; text.size() - at >= 8; at += 8)
      state.absorb(word(text, at, 8));
    state.absorb(word(text, at, text.size() - at) | static_cast<std::uint64_t>(text.size()) << 56U);
    state.v2_ ^= 0xEE;
    state.mix(kLastRounds);
    const std::uint64_t low = state.sum();
    state.v1_ ^= 0xDD;
    state.mix(kLastRounds);
    return {low, state.sum()};
  }

 private:
  SipHash128(std::uint64_t key0, std::uint64_t key1) noexcept
      : v0_(key0 ^ 0x736F6D6570736575ULL),
        v1_(key1 ^ 0x646F72616E646F6DULL ^ 0xEE),
        v2_(key0 ^ 0x6C7967656E657261ULL),
        v3_(key1 ^ 0x7465646279746573ULL) {}

  // Little-endian, on every machine.
  static std::uint64_t word(std::string_view text, std::size_t at, std::size_t bytes) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[at + i])) << 8 * i;
    return value;
  }
  void absorb(std::uint64_t value) noexcept {
    v3_ ^= value;
    mix(kRounds);
    v0_ ^= value;
  }
  void mix(int rounds) noexcept {
    for (int i = 0; i < rounds; ++i) {
      v0_ += v1_;
      v2_ += v3_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v1_;
      v0_ += v3_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ = std::rotl(v2_, 32);
    }
  }
  [[nodiscard]] std::uint64_t sum() const noexcept { return v0_ ^ v1_ ^ v2_ ^ v3_; }

  std::uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace detail

// `seed`: of the segment, random. `use` keeps ids and groups apart.
[[nodiscard]] inline IdHash id_hash(std::string_view text, std::uint64_t seed,
                                    std::uint64_t use) noexcept {
  return detail::SipHash128<1, 3>::of(text, seed, std::rotl(seed, 32) ^ use);
}

}  // namespace millrace
