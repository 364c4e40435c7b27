// The parts of durability `disk`: checksums, heads of records, shared syncs; and queues in files over a boot.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <millrace/checksum.hpp>
#include <millrace/work/disk_sync.hpp>
#include <millrace/work/work_queue.hpp>

#include "work_power.hpp"

namespace millrace::test::work_disk_test {

using namespace millrace;
using namespace millrace::test;

namespace {

WorkShape one_slot(layout::Durability durability = layout::Durability::disk) {
  WorkShape shape;
  shape.seats = 4;
  shape.levels = 1;
  shape.jobs = 1;
  shape.dead = 0;
  shape.bytes = 16 * 1024;
  shape.dead_bytes = 0;
  shape.groups = 0;
  shape.durability = durability;
  return shape;
}

std::uint32_t push_plan(const Open& open, std::uint32_t number) {
  const Plan plan(number);
  PushOptions options = plan.options();
  options.level = 0;
  options.stage = 0;
  options.group = {};
  Loan loan;
  REQUIRE(open.store->reserve(plan.payload.size(), options.tail_bytes(), loan) == Pushed::yes);
  std::memcpy(open.memory.data() + loan.at, plan.payload.data(), plan.payload.size());
  const std::uint32_t granule = loan.granule;
  REQUIRE(open.store->push(loan, plan.payload.size(), options) == Pushed::yes);
  return granule;
}
layout::RecordHead* heads_at(const Open& open, std::uint32_t granule) {
  return reinterpret_cast<layout::RecordHead*>(open.memory.data() +
                                               open.memory.shape().granules_at() +
                                               std::uint64_t{granule} * layout::kGranuleBytes);
}

// A queue in a file of the temporary directory.
struct OnDisk : Names {
  OnDisk() {
    const char* directory = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): one thread
    path = std::string(directory != nullptr ? directory : "/tmp") + "/millrace-" + name("disk");
    (void)::unlink(path.c_str());
  }
  ~OnDisk() { (void)::unlink(path.c_str()); }

  [[nodiscard]] WorkSpec spec(layout::Durability durability = layout::Durability::disk) const {
    WorkSpec spec;
    spec.place = Place::file(path);
    spec.jobs = 100;
    spec.durability = durability;
    return spec;
  }
  [[nodiscard]] std::unique_ptr<WorkQueue> open(
      layout::Durability durability = layout::Durability::disk) const {
    return must(WorkQueue::open(spec(durability), soon()));
  }
  // As if the machine had been started anew, with everybody on it gone.
  static void another_boot(WorkQueue& queue) { queue.parties().control().boot.store(1); }

  std::string path;
};

Pushed push_text(WorkQueue& queue, std::string_view text, const PushOptions& options = {}) {
  return queue.try_push(std::as_bytes(std::span(text)), options);
}
std::string take_text(WorkQueue& queue) {
  const Lease lease = queue.try_take();
  if (!lease) return "(none)";
  JobFacts facts;
  REQUIRE(queue.facts(lease.slot, facts));
  return {reinterpret_cast<const char*>(queue.data()->data() + facts.at), facts.length};
}

std::uint64_t counter_of(WorkQueue& queue, layout::WorkCount what) {
  return queue.parties().control().counters[static_cast<std::size_t>(what)].load();
}

}  // namespace

TEST_CASE("crc-32c: by tables and by the instruction, of every length and alignment") {
  CHECK(crc32c("123456789", 9) == 0xE306'9283U);  // the check value of the catalogue of CRCs
  CHECK(crc32c("", 0) == 0);
  const std::string zeroes(32, '\0');
  CHECK(crc32c(zeroes.data(), zeroes.size()) == 0x8A91'36AAU);  // RFC 3720, B.4
  std::vector<std::byte> bytes(400);
  Random random(1);
  for (auto& byte : bytes)
    byte = static_cast<std::byte>(random.next());
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t length = 0; length + from <= bytes.size(); length += 1 + length / 40) {
      const std::uint32_t whole = crc32c(bytes.data() + from, length);
      CHECK(~detail::crc_by_tables(~0U, bytes.data() + from, length) == whole);
      const std::size_t half = length / 3;
      CHECK(crc32c(bytes.data() + from + half, length - half, crc32c(bytes.data() + from, half)) ==
            whole);
    }
  }
}

TEST_CASE("record: every bit of a head and of the content matters") {
  const WorkShape shape = one_slot();
  const Bytes bytes(static_cast<std::size_t>(shape.total_bytes()));
  const Open open(bytes, shape);
  open.store->set_up();
  const std::uint32_t granule = push_plan(open, 3);  // with an id and headers
  const Records& records = open.store->records();
  Record record;
  REQUIRE(records.find(granule, record) == Records::Found::whole);
  auto* const at = reinterpret_cast<std::byte*>(heads_at(open, granule));
  const Plan plan(3);
  const std::size_t padded = (plan.payload.size() + 7) / 8 * 8;
  const std::size_t end = layout::kRecordBytes + padded + plan.id.size() + plan.headers.size();
  for (std::size_t bit = 0; bit < end * 8; ++bit) {
    const std::size_t byte = bit / 8;
    if (byte >= sizeof(layout::RecordHead) && byte < layout::kRecordBytes) continue;
    if (byte >= layout::kRecordBytes + plan.payload.size() && byte < layout::kRecordBytes + padded)
      continue;  // between payload and id
    CAPTURE(bit);
    at[byte] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK(records.find(granule, record) != Records::Found::whole);
    at[byte] ^= static_cast<std::byte>(1U << bit % 8);
  }
  CHECK(records.find(granule, record) == Records::Found::whole);
}

TEST_CASE("record: whatever becomes of the head that is written, the other one is whole") {
  const WorkShape shape = one_slot();
  const Bytes bytes(static_cast<std::size_t>(shape.total_bytes()));
  const Open open(bytes, shape);
  open.store->set_up();
  const std::uint32_t granule = push_plan(open, 4);
  const Records& records = open.store->records();
  for (int change = 1; change < 600; ++change) {  // more than versions
    Record before;
    REQUIRE(records.find(granule, before) == Records::Found::whole);
    const Bytes old = bytes;
    Lease lease = open.store->take(0, true);
    REQUIRE(lease);
    REQUIRE(open.store->retry(lease, change % 2 == 0 ? 3600 * kSecond : 0, ""));
    Record after;
    REQUIRE(records.find(granule, after) == Records::Found::whole);
    CHECK(after.version == static_cast<std::uint8_t>(before.version + 1));
    // Any words of the head that was written.
    const auto* now = reinterpret_cast<const std::byte*>(heads_at(open, granule));
    const Open mixed(old, shape);
    auto* const then = reinterpret_cast<std::byte*>(heads_at(mixed, granule));
    for (std::size_t word = 0; word < layout::kRecordBytes / 8; word += 2)
      std::memcpy(then + word * 8, now + word * 8, 8);
    Record found;
    REQUIRE(mixed.store->records().find(granule, found) == Records::Found::whole);
    CHECK(found.serial == before.serial);
    CHECK((found.version == before.version || found.version == after.version));
    // Back to one that can be taken.
    open.memory.slot(0).due.store(1);
    layout::Word word = layout::unpack(open.memory.slot(0).word.load());
    word.attempt = 0;
    open.memory.slot(0).word.store(layout::pack(word));
    open.memory.control().earliest.store(0);
    open.memory.due_groups()[0].store(0);
    (void)open.store->sweep(os::monotonic_ns());
  }
}

TEST_CASE(
    "recovery: of more records than slots those of the oldest syncs stay, whatever their numbers") {
  const WorkShape shape = one_slot();
  const Bytes bytes(static_cast<std::size_t>(shape.total_bytes()));
  const Open open(bytes, shape);
  open.store->set_up();
  // A slow pusher: it had its slot and its number before a sync, and was written after.
  open.memory.control().syncs_begun.store(9);
  const std::uint32_t first = push_plan(open, 3);
  const Bytes with_first = bytes;
  Lease lease = open.store->take(0, true);
  REQUIRE(open.store->complete(lease));
  open.memory.control().syncs_begun.store(5);
  const std::uint32_t second = push_plan(open, 6);
  REQUIRE(first != second);
  std::memcpy(static_cast<void*>(heads_at(open, first)),
              static_cast<void*>(heads_at(Open(with_first, shape), first)), layout::kGranuleBytes);
  open.recover();
  const Census found = census(open);
  CHECK(found.size() == 1);
  CHECK(found.contains(6));
  CHECK(open.memory.control().syncs_done.load() == 10);
  CHECK(open.memory.control().serial.load() == 2);
}

TEST_CASE_FIXTURE(OnDisk, "sync: those that wait share what one begins after them") {
  const auto queue = open();
  DiskSync& disk = *queue->disk();
  layout::WorkControl& control = queue->parties().control();
  const std::uint64_t before = control.syncs_begun.load();
  const std::uint64_t ticket = disk.ticket();
  CHECK(ticket == before + 1);
  CHECK(!disk.certain(ticket));
  CHECK(disk.wait(ticket).ok());
  CHECK(disk.certain(ticket));
  CHECK(control.syncs_begun.load() == before + 1);
  CHECK(disk.wait(ticket).ok());  // nothing to do
  CHECK(control.syncs_begun.load() == before + 1);

  // Eight handles, 50 times each: never more than one at a time, so fewer than waits.
  std::vector<std::unique_ptr<WorkQueue>> others;
  for (int i = 0; i < 8; ++i)
    others.push_back(open());
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (auto& other : others) {
    threads.emplace_back([&failed, &other] {
      for (int i = 0; i < 50; ++i) {
        if (push_text(*other, "x") == Pushed::yes) {
          const std::uint64_t mine = other->disk()->ticket();
          if (!other->disk()->wait(mine).ok() || !other->disk()->certain(mine)) ++failed;
        }
        Lease lease = other->try_take();
        if (lease) (void)other->complete(lease);
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  CHECK(failed == 0);
  CHECK(control.syncs_begun.load() - before < 1 + 8 * 50);
  CHECK(control.syncer.load() == 0);
}

TEST_CASE_FIXTURE(
    OnDisk, "sync: one that is stopped in it, or died, holds the others up for a moment only") {
  const auto queue = open();
  layout::WorkControl& control = queue->parties().control();
  const std::uint64_t other = 77;
  control.syncer.store(other << 48U | (os::monotonic_ns() / 1'000'000));
  const std::uint64_t begun = os::monotonic_ns();
  CHECK(queue->flush().ok());
  const std::uint64_t took = os::monotonic_ns() - begun;
  CHECK(took >= 150 * kMillisecond);
  CHECK(took < 5 * kSecond);
  CHECK(control.syncer.load() == 0);
}

TEST_CASE_FIXTURE(OnDisk,
                  "sync: what one could not write makes nothing certain any more, for nobody") {
  const auto queue = open();
  const auto other = open();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::close(ends[0]);
  // A pipe cannot be synced.
  DiskSync broken(os::Descriptor(ends[1]), "the disk", queue->parties().segment().control(),
                  queue->data(), queue->parties().control(), 3);
  CHECK(!broken.failed());
  auto done = broken.wait(broken.ticket());
  REQUIRE(!done.ok());
  CHECK(done.error().number == EINVAL);
  CHECK(broken.failed());
  CHECK(other->disk()->failed());
  const auto theirs = other->flush();
  REQUIRE(!theirs.ok());
  CHECK(theirs.error().message.find("open it again") != std::string::npos);
}

TEST_CASE_FIXTURE(OnDisk, "a queue of a name cannot be kept on disk") {
  for (const auto durability : {layout::Durability::file, layout::Durability::disk}) {
    WorkSpec wanted = spec(durability);
    wanted.place = name();
    const auto refused = WorkQueue::open(wanted, soon());
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == Code::invalid_argument);
    CHECK(refused.error().message.find("MappedFile") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(OnDisk,
                  "what was pushed is there in the next boot, and who was on it is forgotten") {
  {
    const auto queue = open();
    CHECK(queue->confirms_on_disk());
    PushOptions urgent;
    urgent.level = 9;
    CHECK(push_text(*queue, "one") == Pushed::yes);
    CHECK(push_text(*queue, "two") == Pushed::yes);
    CHECK(push_text(*queue, "") == Pushed::yes);
    CHECK(push_text(*queue, "first", urgent) == Pushed::yes);
    CHECK(queue->flush().ok());
    // Dies with a job in hand, and one that it has just settled.
    Lease held = queue->try_take();
    REQUIRE(held);
    Lease settled = queue->try_take();
    CHECK(queue->complete(settled));
    another_boot(*queue);
    queue->parties().vanish();
  }
  const auto queue = open();
  CHECK(counter_of(*queue, layout::WorkCount::recovered) == 3);
  CHECK(counter_of(*queue, layout::WorkCount::deaths) == 0);
  CHECK(take_text(*queue) == "first");
  CHECK(take_text(*queue) == "two");
  CHECK(take_text(*queue).empty());
  CHECK(take_text(*queue) == "(none)");
  // In the same boot nothing is recovered: leases of the living are theirs.
  const auto other = open();
  CHECK(take_text(*other) == "(none)");
}

TEST_CASE_FIXTURE(OnDisk,
                  "durability file: the words are trusted in the next boot, and leases end") {
  {
    const auto queue = open(layout::Durability::file);
    CHECK(!queue->confirms_on_disk());
    CHECK(push_text(*queue, "one") == Pushed::yes);
    CHECK(push_text(*queue, "two") == Pushed::yes);
    CHECK(queue->flush().ok());
    REQUIRE(queue->try_take());
    another_boot(*queue);
    queue->parties().vanish();
  }
  const auto queue = open(layout::Durability::file);
  CHECK(counter_of(*queue, layout::WorkCount::deaths) == 1);
  CHECK(take_text(*queue) == "one");
  CHECK(take_text(*queue) == "two");
}

TEST_CASE_FIXTURE(
    OnDisk, "a file that was cut short is made as long again, and what is left of it recovered") {
  std::uint64_t size = 0;
  {
    const auto queue = open();
    CHECK(push_text(*queue, "one") == Pushed::yes);
    CHECK(push_text(*queue, std::string(100'000, 'x')) == Pushed::yes);
    CHECK(queue->flush().ok());
    size = queue->parties().segment().geometry().total_bytes;
    queue->parties().vanish();
  }
  // In the middle of the second one.
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size - 200'000)) == 0);
  {
    const auto queue = open();
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(static_cast<std::uint64_t>(status.st_size) == size);
    CHECK(counter_of(*queue, layout::WorkCount::torn) == 1);
    CHECK(take_text(*queue) == "one");
    CHECK(take_text(*queue).size() == 6);  // "(none)"
    CHECK((queue->parties().segment().header().flags.load() & layout::kMended) == 0);
  }
  // Not while somebody is on it.
  const auto queue = open();
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size - 4096)) == 0);
  const auto second = WorkQueue::open(spec(), soon());
  REQUIRE(!second.ok());
  CHECK(second.error().code == Code::corrupt);
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size)) == 0);
}

TEST_CASE_FIXTURE(OnDisk,
                  "forwarding to a queue on disk: its result is certain before the job ends") {
  const std::string other = path + "-to";
  {
    const auto from = open();
    WorkSpec spec = this->spec();
    spec.place = Place::file(other);
    const auto to = must(WorkQueue::open(spec, soon()));
    const std::string result = "result";
    const auto bytes = std::as_bytes(std::span(result));
    CHECK(push_text(*from, "one") == Pushed::yes);
    Lease lease = from->try_take();
    const std::uint64_t before = to->parties().control().syncs_done.load();
    CHECK(must(from->forward(lease, bytes, *to, {})) == Forwarded::yes);
    CHECK(!lease);
    CHECK(to->parties().control().syncs_done.load() > before);
    CHECK(take_text(*to) == "result");
    // In two calls: what is withdrawn leaves nothing.
    CHECK(push_text(*from, "two") == Pushed::yes);
    lease = from->try_take();
    Promise promise;
    PushOptions options;
    options.id = "id";
    CHECK(must(from->begin_forward(lease, bytes, *to, options, promise)) == Forwarded::yes);
    CHECK(!to->try_take());
    to->withdraw(promise);
    CHECK(!promise);
    CHECK(from->finish_forward(lease, *to, promise) == Forwarded::busy);
    CHECK(to->store().counts().other == 0);
    CHECK(must(from->begin_forward(lease, bytes, *to, options, promise)) == Forwarded::yes);
    CHECK(from->finish_forward(lease, *to, promise) == Forwarded::yes);
    // A failed disk, of either.
    CHECK(push_text(*from, "three") == Pushed::yes);
    lease = from->try_take();
    to->parties().control().sync_error.store(EIO);
    const auto refused = from->forward(lease, bytes, *to, {});
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == Code::system);
    CHECK(from->holds(lease));
    CHECK(to->store().counts().ready == 1);
  }
  (void)::unlink(other.c_str());
}

TEST_CASE_FIXTURE(OnDisk,
                  "after a failed sync nothing more is pushed, and what is there is taken") {
  const auto queue = open();
  CHECK(push_text(*queue, "one") == Pushed::yes);
  Loan loan;
  REQUIRE(queue->reserve(3, 0, loan) == Pushed::yes);
  queue->parties().control().sync_error.store(ENOSPC);
  CHECK(push_text(*queue, "two") == Pushed::disk_failed);
  CHECK(queue->push(loan, 3, {}) == Pushed::disk_failed);
  queue->cancel(loan);  // it is still the caller's
  Loan other;
  CHECK(queue->reserve(3, 0, other) == Pushed::disk_failed);
  const Error error = queue->disk()->error();
  CHECK(error.code == Code::no_space);
  CHECK(error.message.find("close it in all processes") != std::string::npos);
  CHECK(take_text(*queue) == "one");
  CHECK(queue->store().counts().other == 0);
}

TEST_CASE_FIXTURE(OnDisk, "after a failed sync the next to open it alone trusts records only") {
  {
    const auto queue = open();
    CHECK(push_text(*queue, "one") == Pushed::yes);
    queue->parties().control().sync_error.store(EIO);
    CHECK(!queue->flush().ok());
    queue->parties().vanish();
  }
  const auto queue = open();
  CHECK(counter_of(*queue, layout::WorkCount::recovered) == 1);
  CHECK(queue->flush().ok());
  CHECK(take_text(*queue) == "one");
}

#if defined(__linux__)
namespace {

// Kilobytes of the maps of that file that are not yet on the disk, as the system sees it.
long dirty_kilobytes(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  long dirty = 0;
  bool ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ') && line.find(' ') < line.find(':') &&
        line.find("r") != std::string::npos && line.find(" kB") == std::string::npos)
      ours = line.size() >= path.size() &&
             line.compare(line.size() - path.size(), path.size(), path) == 0;
    for (const char* what : {"Shared_Dirty:", "Private_Dirty:"}) {
      if (ours && line.rfind(what, 0) == 0) dirty += std::stol(line.substr(std::strlen(what)));
    }
  }
  return dirty;
}

}  // namespace

TEST_CASE_FIXTURE(OnDisk, "sync: writes what was written through maps, by any process") {
  const auto queue = open();
  CHECK(push_text(*queue, std::string(50'000, 'x')) == Pushed::yes);
  if (dirty_kilobytes(path) == 0) return;  // a file system that has no disk
  Child child([this] {
    const auto theirs = WorkQueue::open(spec(), soon());
    CHILD_EXPECT(theirs.ok());
    CHILD_EXPECT(push_text(*theirs.value(), std::string(60'000, 'y')) == Pushed::yes);
    theirs.value()->parties().vanish();
    return 0;
  });
  CHECK(child.wait() == 0);
  CHECK(dirty_kilobytes(path) >= 50);
  CHECK(queue->flush().ok());
  CHECK(dirty_kilobytes(path) <= 8);  // what flush() itself has written since
}
#endif

}  // namespace millrace::test::work_disk_test
