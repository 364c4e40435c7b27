// What the users of calls give and get.
#pragma once

#include <cstdint>

#include "../layout/calls.hpp"

namespace millrace {

struct CallOptions {
  std::uint32_t method = 0;
  std::uint16_t flags = 0;        // the users' own
  bool idempotent = false;        // it may be executed again if its server dies
  std::uint64_t deadline_ns = 0;  // monotonic; no handler begins after it. 0: none
};

enum class Asked : std::uint8_t {
  yes,
  busy,          // as many calls as there may be, or no room for the request
  too_large,     // for these calls, also when there are no others
  no_responder,  // nobody serves
};

// A call that its handle has made. Its slot is its own until its outcome is released, or it is withdrawn: no two calls in flight
// have one slot.
struct Ticket {
  std::uint32_t slot = 0;
  std::uint32_t born = 0;

  friend bool operator==(const Ticket&, const Ticket&) = default;
};

// Room for a request that is to be pushed, or for the answer of a call in hand; to be given back otherwise. Belongs to who reserved it.
struct CallLoan {
  std::uint32_t slot = 0;
  std::uint64_t word = 0;  // of the slot, or of the lease. 0: none
  std::uint64_t at = 0;    // from the beginning of the data
  std::uint64_t room = 0;  // bytes
  std::uint32_t granule = 0;
  std::uint32_t granules = 0;

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

// Has its handler run? `unknown`: perhaps, or in part.
enum class Executed : std::uint8_t { no, yes, unknown };

enum class Outcome : std::uint8_t {
  none,          // nothing new
  answered,      // by a server, with a status and bytes
  died,          // its server did
  expired,       // its deadline was over before a handler began
  no_responder,  // nobody was left who serves
};

// The one outcome of a call. The bytes are its handle's until release().
struct Answer {
  Ticket ticket;
  Outcome outcome = Outcome::none;
  Executed executed = Executed::no;
  std::uint8_t status = 0;   // as the server gave it
  std::uint32_t length = 0;  // bytes
  std::uint64_t at = 0;      // from the beginning of the data
  std::uint64_t word = 0;    // the slot's, 0: there is nothing to release
};

enum class Withdrawn : std::uint8_t {
  no_longer,    // there is an outcome: poll() gives it, or has given it
  not_started,  // it is gone, and no handler has begun
  running,      // it is gone, and a handler has: it is told. There is no outcome
};

enum class Answered : std::uint8_t {
  yes,
  unwanted,   // the caller has withdrawn the call, or died
  no_room,    // now; the lease is what it was
  too_large,  // for these calls; the lease is what it was
  lent,  // there is a loan for it already, or (of a loan) there is none any more; the lease is what it was
};

// What servers give as status.
inline constexpr std::uint8_t kMostStatus = layout::kFirstCallEnd - 1;

// What a server knows of a call that it has taken.
struct CallFacts {
  std::uint64_t at = 0;  // of the request, from the beginning of the data
  std::uint32_t length = 0;
  std::uint32_t method = 0;
  std::uint16_t flags = 0;
  bool idempotent = false;
  std::uint8_t attempt = 0;       // how often a handler has begun, this time included
  std::uint64_t deadline_ns = 0;  // monotonic; 0: none
  // The caller's handle: its seat, and how often that has changed hands.
  std::uint32_t caller = 0;
  std::uint32_t caller_epoch = 0;
  std::uint32_t caller_pid = 0;
  Ticket ticket;
};

}  // namespace millrace
