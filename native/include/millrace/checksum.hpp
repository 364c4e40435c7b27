// CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum that processors have an instruction for: of x86 with SSE 4.2 and
// of ARMv8 with the CRC extension, asked for once per process. Elsewhere by eight tables, eight bytes at a time.
//
// Source of the tables: Kounavis and Berry, "A Systematic Approach to Building High Performance, Software-based, CRC
// Generators" (2005), slicing by 8.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace millrace {

namespace detail {

inline constexpr std::uint32_t kCastagnoli = 0x82F6'3B78;  // bits reversed

struct CrcTables {
  CrcTables() noexcept {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit)
        crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kCastagnoli : 0U);
      of[0][byte] = crc;
    }
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      for (std::size_t table = 1; table < 8; ++table)
        of[table][byte] = (of[table - 1][byte] >> 8U) ^ of[0][of[table - 1][byte] & 0xFFU];
    }
  }
  std::array<std::array<std::uint32_t, 256>, 8> of{};
};
// Made when they are first needed: few processors need them, and 8 KiB in every binary are many.
[[nodiscard]] inline const CrcTables& crc_tables() noexcept {
  static const CrcTables tables;
  return tables;
}

// All of these take and give the state, which is inverted at both ends by crc32c().
[[nodiscard]] inline std::uint32_t crc_by_tables(std::uint32_t crc, const std::byte* at,
                                                 std::size_t bytes) noexcept {
  const auto& table = crc_tables().of;
  if constexpr (std::endian::native == std::endian::little) {
    for (; bytes >= 8; at += 8, bytes -= 8) {
      std::uint32_t low = 0;
      std::uint32_t high = 0;
      std::memcpy(&low, at, 4);
      std::memcpy(&high, at + 4, 4);
      low ^= crc;
      crc = table[7][low & 0xFFU] ^ table[6][low >> 8U & 0xFFU] ^ table[5][low >> 16U & 0xFFU] ^
            table[4][low >> 24U] ^ table[3][high & 0xFFU] ^ table[2][high >> 8U & 0xFFU] ^
            table[1][high >> 16U & 0xFFU] ^ table[0][high >> 24U];
    }
  }
  for (; bytes > 0; ++at, --bytes)
    crc = (crc >> 8U) ^ table[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xFFU];
  return crc;
}

#if defined(__x86_64__)

inline constexpr bool kCrcCanBeFast = true;
[[nodiscard]] inline bool crc_is_fast() noexcept {
  // Not by __builtin_cpu_supports(), whose table a shared library cannot always reach.
  static const bool fast = [] {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
  }();
  return fast;
}
// By assembly: compilers name the feature that their intrinsics ask for differently.
[[nodiscard]] inline std::uint32_t crc_by_instruction(std::uint32_t crc, const std::byte* at,
                                                      std::size_t bytes) noexcept {
  std::uint64_t state = crc;
  for (; bytes >= 8; at += 8, bytes -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    asm("crc32q %1, %0" : "+r"(state) : "rm"(word));
  }
  auto rest = static_cast<std::uint32_t>(state);
  for (; bytes > 0; ++at, --bytes)
    asm("crc32b %1, %0" : "+r"(rest) : "rm"(static_cast<unsigned char>(*at)));
  return rest;
}

#elif defined(__aarch64__)

inline constexpr bool kCrcCanBeFast = true;
[[nodiscard]] inline bool crc_is_fast() noexcept {
#if defined(__linux__)
  constexpr unsigned long crc32 = 1UL << 7U;  // HWCAP_CRC32
  static const bool fast = (::getauxval(AT_HWCAP) & crc32) != 0;
  return fast;
#else
  return true;  // every Mac has it
#endif
}
// Not by __crc32cd of <arm_acle.h>, which is there only where the whole file is compiled for it.
[[nodiscard]] inline std::uint32_t crc_by_instruction(std::uint32_t crc, const std::byte* at,
                                                      std::size_t bytes) noexcept {
  for (; bytes >= 8; at += 8, bytes -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  }
  for (; bytes > 0; ++at, --bytes) {
    const auto byte = static_cast<std::uint32_t>(*at);
    asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
  }
  return crc;
}

#else

inline constexpr bool kCrcCanBeFast = false;
[[nodiscard]] inline bool crc_is_fast() noexcept {
  return false;
}
[[nodiscard]] inline std::uint32_t crc_by_instruction(std::uint32_t crc, const std::byte* at,
                                                      std::size_t bytes) noexcept {
  return crc_by_tables(crc, at, bytes);
}

#endif

}  // namespace detail

// Of these bytes; behind others whose checksum is `before`.
[[nodiscard]] inline std::uint32_t crc32c(const void* from, std::size_t bytes,
                                          std::uint32_t before = 0) noexcept {
  const auto* at = static_cast<const std::byte*>(from);
  if constexpr (detail::kCrcCanBeFast) {
    if (detail::crc_is_fast()) return ~detail::crc_by_instruction(~before, at, bytes);
  }
  return ~detail::crc_by_tables(~before, at, bytes);
}

}  // namespace millrace
