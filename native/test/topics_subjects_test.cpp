// Topics: the table of subjects, its limits, many of them, and what is read there that anybody may have written.
#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "topics_rows.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_subjects_test {

using namespace millrace::test::topics;

TEST_CASE("topics subjects: a text has one number, whoever asks") {
  const Names names;
  const Bus one = open(spec_of(names.name()));
  const Bus two = open(spec_of(names.name()));
  const std::string longest(layout::kSubjectMost, 'x');
  const std::vector<std::string> texts{"a", "a.b", "b.a", "größe.温度", longest, "a.bb"};
  std::set<std::uint32_t> numbers;
  for (const std::string& text : texts) {
    const std::uint32_t number = must(one->subject(text));
    numbers.insert(number);
    CHECK(must(one->subject(text)) == number);
    CHECK(must(two->subject(text)) == number);
    CHECK(two->subject_text(number) == text);
  }
  CHECK(numbers.size() == texts.size());
  CHECK(one->facts().subjects == texts.size());
  CHECK(one->subject_text(static_cast<std::uint32_t>(texts.size())).empty());
  CHECK(one->subject_text(~0U).empty());
}

TEST_CASE("topics subjects: what is none is refused, and takes no place") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  for (const std::string_view text : {"", ".", "a.", "a b", "a.*", ">", "a.\n", "\xFF"}) {
    CAPTURE(text);
    const auto refused = bus->subject(text);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == Code::invalid_argument);
  }
  CHECK(bus->subject("line1..temp")
            .error()
            .message.rfind("'line1..temp' is no subject: its token 2 is empty", 0) == 0);
  CHECK(bus->facts().subjects == 0);
  std::uint32_t matched = 0;
  CHECK(bus->try_publish(0, bytes_of("x"), {}, matched) == Published::bad_subject);
  CHECK(bus->try_publish(~0U, bytes_of("x"), {}, matched) == Published::bad_subject);
}

TEST_CASE("topics subjects: when there are as many as there may be, those that are known go on") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  spec.subjects = 3;
  const Bus one = open(spec);
  const Bus two = open(spec);
  const std::uint32_t entry = join(*two, {">"});
  for (const char* const text : {"a", "b", "c"})
    REQUIRE(publish(*one, text, text) == 1);
  const auto refused = one->subject("d");
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == Code::no_lane);
  CHECK(refused.error().message.find("3 subjects") != std::string::npos);
  CHECK(publish(*two, "c", "c") == 1);
  CHECK(payloads(read_all(*two, entry)) == "abcc");
  CHECK(rows_wrong(*one) == "");
}

TEST_CASE("topics subjects: threads that make the same ones at once agree") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  spec.subjects = 2000;
  const Bus keeper = open(spec);
  const std::uint32_t entry = join(*keeper, {"*.even"});
  constexpr std::uint32_t count = 1500;
  std::array<std::vector<std::uint32_t>, 4> got;
  std::atomic<std::uint32_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint32_t me = 0; me < got.size(); ++me) {
    threads.emplace_back([&, me] {
      auto opened = TopicBus::open(spec, soon());
      if (!opened.ok()) {
        wrong.fetch_add(1);
        return;
      }
      const Bus bus = opened.take();
      got.at(me).resize(count);
      for (std::uint32_t i = 0; i < count; ++i) {
        // Two of them come the other way.
        const std::uint32_t which = me % 2 == 0 ? i : count - 1 - i;
        auto made = bus->subject(std::to_string(which) + (which % 2 == 0 ? ".even" : ".odd"));
        if (made.ok())
          got.at(me).at(which) = made.value();
        else
          wrong.fetch_add(1);
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  CHECK(wrong.load() == 0);
  for (const auto& other : got)
    CHECK(other == got[0]);
  CHECK(std::set<std::uint32_t>(got[0].begin(), got[0].end()).size() == count);
  CHECK(keeper->facts().subjects == count);
  CHECK(rows_wrong(*keeper) == "");
  CHECK(publish(*keeper, "1000.even", "x") == 1);
  CHECK(read(*keeper, entry));
}

TEST_CASE("topics subjects: ten thousand subjects and a hundred subscriptions") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  spec.subjects = 10'000;
  spec.subscriptions = 128;
  const Bus bus = open(spec);
  std::vector<std::string> filters;
  for (int i = 0; i < 100; ++i)
    filters.push_back(i % 2 == 0 ? "line" + std::to_string(i) + ".*.temp"
                                 : "line" + std::to_string(i) + ".>");
  const auto since = [](std::uint64_t begun) { return (os::monotonic_ns() - begun) / 1000; };
  // One half of the subscriptions comes before the subjects, the other one after them.
  std::vector<std::uint32_t> entries;
  for (std::size_t i = 0; i < 50; ++i)
    entries.push_back(join(*bus, {filters[i]}, overwriting()));
  const std::uint32_t subjects = static_cast<std::uint32_t>(rounds(10'000));
  std::uint64_t begun = os::monotonic_ns();
  for (std::uint32_t i = 0; i < subjects; ++i)
    (void)must(bus->subject("line" + std::to_string(i % 100) + '.' + std::to_string(i) + ".temp"));
  const std::uint64_t making = since(begun);
  begun = os::monotonic_ns();
  for (std::size_t i = 50; i < filters.size(); ++i)
    entries.push_back(join(*bus, {filters[i]}, overwriting()));
  const std::uint64_t joining = since(begun);
  CHECK(rows_wrong(*bus) == "");
  begun = os::monotonic_ns();
  std::uint64_t matched = 0;
  for (std::uint32_t i = 0; i < subjects; ++i) {
    std::uint32_t by = 0;
    REQUIRE(bus->try_publish(i, bytes_of("x"), {}, by) == Published::yes);
    matched += by;
  }
  const std::uint64_t publishing = since(begun);
  CHECK(matched == subjects);  // each has one
  begun = os::monotonic_ns();
  for (const std::uint32_t entry : entries)
    bus->unsubscribe(entry);
  const std::uint64_t leaving = since(begun);
  CHECK(rows_wrong(*bus) == "");
  MESSAGE(subjects << " subjects made in " << making << " us beside 50 subscriptions, 50 joined in "
                   << joining << " us, " << subjects << " published in " << publishing
                   << " us, 100 left in " << leaving << " us");
  // Each is some milliseconds; a bound that only another order of growth exceeds.
  CHECK(making + joining + publishing + leaving < 20'000'000);
}

TEST_CASE("topics subjects: whatever the table says, nobody is led outside, or round and round") {
  const Names names;
  TopicSpec spec = spec_of(names.name(), 16);
  spec.subscriptions = 8;
  Random random(3);
  for (int round = 0; round < rounds(120); ++round) {
    const Bus bus = open(spec);
    const Bus other = open(spec);
    for (const char* const text : {"a", "b.c", "b.d", "e.f.g"})
      REQUIRE(publish(*bus, text, text) == 0);
    (void)join(*bus, {"b.*"}, overwriting());
    const TopicMemory& memory = bus->memory();
    const auto lie = [&](auto& word) {
      using Word = std::remove_reference_t<decltype(word.load())>;
      switch (random.below(4)) {
        case 0:
          word = static_cast<Word>(random.next());
          break;
        case 1:
          word = static_cast<Word>(~0ULL);
          break;
        case 2:
          word = static_cast<Word>(random.below(70));
          break;
        default:
          word = static_cast<Word>(word.load() ^ 1ULL << random.below(8 * sizeof(Word)));
      }
    };
    for (std::uint64_t lies = 1 + random.below(12); lies > 0; --lies) {
      const auto subject = static_cast<std::uint32_t>(random.below(8));
      const auto entry = static_cast<std::uint32_t>(random.below(spec.subscriptions.value()));
      switch (random.below(12)) {
        case 0:
          lie(memory.control().subjects);
          break;
        case 1:
          lie(memory.subject(subject).next);
          break;
        case 2:
          lie(memory.subject(subject).length);
          break;
        case 3:
          lie(memory.subject(subject).hash[random.below(2)]);
          break;
        case 4:
          lie(memory.subject(subject).last);
          break;
        case 5:
          lie(memory.buckets()[random.below(memory.shape().buckets())]);
          break;
        case 6:
          lie(memory.text(subject).words[random.below(4)]);
          break;
        case 7:
          lie(memory.row(subject)[0]);
          break;
        case 8:
          lie(memory.entry(entry).info);
          break;
        case 9:
          lie(memory.entry(entry).filters);
          lie(memory.entry(entry).filter_bytes);
          break;
        case 10:
          lie(memory.filters(entry).words[random.below(4)]);
          break;
        default:
          lie(memory.entry(entry).name_length);
          lie(memory.control().live[0]);
      }
    }
    std::vector<std::byte> target(512);
    std::array<TopicMessage, 4> messages;
    for (int i = 0; i < 12; ++i) {
      TopicBus& one = i % 2 == 0 ? *bus : *other;
      (void)publish(one, i % 3 == 0 ? "b.c" : "new." + std::to_string(i), "payload");
      const std::string_view filter = i % 2 == 0 ? "b.>" : "*.c";
      SubscribeOptions options = overwriting();
      options.replay.last = i % 4 == 0;
      if (i % 3 == 2) options.group = "group";
      if (options.group.size() != 0) options.replay.last = false;
      const auto joined = one.subscribe({&filter, 1}, options);
      if (!joined.ok()) continue;
      REQUIRE(joined.value() < one.shape().subscriptions);
      (void)one.read(joined.value(), messages.data(), 4, target, false);
      const std::uint32_t pumped = one.pump_begin(joined.value(), messages.data(), 4, target);
      if (pumped != 0 && pumped != TopicBus::kPumpBusy) one.pump_end(joined.value(), 3);
      (void)one.next_bytes(joined.value());
      if (i % 3 == 0) one.unsubscribe(joined.value());
      (void)one.subject_text(static_cast<std::uint32_t>(i));
    }
    (void)bus->look();
  }
}

}  // namespace millrace::test::topics_subjects_test
