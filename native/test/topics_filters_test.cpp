// Subjects and filters as texts, and which subjects a filter means.
#include <string>
#include <string_view>
#include <vector>

#include <millrace/topics/filters.hpp>

#include "fixture.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_filters_test {

using namespace millrace;
using namespace millrace::test;

namespace {

using Tokens = std::vector<std::string>;

Tokens tokens_of(const std::string& text) {
  Tokens tokens(1);
  for (const char c : text) {
    if (c == '.')
      tokens.emplace_back();
    else
      tokens.back() += c;
  }
  return tokens;
}
// By the definition, from token `at` on.
bool means(const Tokens& filter, const Tokens& subject, std::size_t at = 0) {
  if (at == filter.size()) return at == subject.size();
  if (filter[at] == ">" && at + 1 == filter.size()) return at < subject.size();
  if (at == subject.size()) return false;
  return (filter[at] == "*" || filter[at] == subject[at]) && means(filter, subject, at + 1);
}

}  // namespace

TEST_CASE("topics filters: what is a subject") {
  const std::string longest(layout::kSubjectMost, 'a');
  for (const std::string_view text : {"a", "plant.line1.temp", "_INBOX.x-1", "a.b.c.d.e.f.g.h",
                                      "größe.温度.🌡", "$SYS.x", "a/b", "a:b"}) {
    CAPTURE(text);
    CHECK(is_subject(text));
  }
  CHECK(is_subject(longest));
  CHECK_FALSE(is_subject(longest + 'a'));
}

TEST_CASE("topics filters: which token of a subject is wrong, and why") {
  struct Case {
    std::string_view text;
    std::uint32_t token;
    std::string_view what;
  };
  const std::string nul("a.b\0c", 5);
  const std::string too_long(300, 'x');
  for (const Case& each : std::vector<Case>{
           {"", 0, "is empty"},
           {too_long, 0, "has more than 255 bytes"},
           {".", 1, "is empty"},
           {".a", 1, "is empty"},
           {"a.", 2, "is empty"},
           {"a..b", 2, "is empty"},
           {"a.b c.d", 2, "contains a space"},
           {"a.b.c\t", 3, "contains a character that cannot be printed"},
           {nul, 2, "contains a character that cannot be printed"},
           {"a.\x7F", 2, "contains a character that cannot be printed"},
           {"a.\xC2\x85", 2, "contains a character that cannot be printed"},
           {"a.\xE2\x80\xAE", 2, "contains a character that cannot be printed"},
           {"a.b.*", 3, "contains '*', which only filters may have"},
           {"a.x>", 2, "contains '>', which only filters may have"},
           {"\xFF.a", 1, "is not UTF-8"},
           {"a.\xC3", 2, "is not UTF-8"},
           {"a.\xC0\xAF", 2, "is not UTF-8"},
           {"a.\xE0\x80\x80", 2, "is not UTF-8"},
           {"a.\xED\xA0\x80", 2, "is not UTF-8"},
           {"a.\xF4\x90\x80\x80", 2, "is not UTF-8"},
           {"a.\xC3.b", 2, "is not UTF-8"},
       }) {
    CAPTURE(each.text);
    const auto flaw = flaw_of_subject(each.text);
    REQUIRE(flaw);
    CHECK(flaw->token == each.token);
    CHECK(flaw->what == each.what);
  }
}

TEST_CASE("topics filters: what is a filter") {
  for (const std::string_view text : {"a", "*", ">", "*.*", "a.*.b", "a.>", "*.>", "größe.*"}) {
    CAPTURE(text);
    CHECK(is_filter(text));
  }
  struct Case {
    std::string_view text;
    std::uint32_t token;
    std::string_view what;
  };
  for (const Case& each : std::vector<Case>{
           {"", 0, "is empty"},
           {"a.>.b", 2, "is '>', which only the last one may be"},
           {">.>", 1, "is '>', which only the last one may be"},
           {"a.b*", 2, "contains '*' beside others: it stands for a whole token"},
           {"**", 1, "contains '*' beside others: it stands for a whole token"},
           {"a.>>", 2, "contains '>' beside others: it stands for whole tokens"},
           {"a.*.", 3, "is empty"},
           {"a b", 1, "contains a space"},
       }) {
    CAPTURE(each.text);
    const auto flaw = flaw_of_filter(each.text);
    REQUIRE(flaw);
    CHECK(flaw->token == each.token);
    CHECK(flaw->what == each.what);
  }
}

TEST_CASE("topics filters: an error shows the text, cut and printable, and says which token") {
  const auto message = [](const char* kind, std::string_view text, const TextFlaw& flaw) {
    return why_no_text(kind, text, flaw);
  };
  CHECK(message("subject", "a..b", *flaw_of_subject("a..b")) ==
        "'a..b' is no subject: its token 2 is empty; a subject is tokens with dots between them, "
        "such as 'plant.line1.temp'");
  CHECK(message("filter", "", *flaw_of_filter("")).rfind("'' is no filter: it is empty; ", 0) == 0);
  CHECK(
      message("subject", "a\n\xFF", *flaw_of_subject("a\n\xFF")).rfind("'a \xEF\xBF\xBD' is", 0) ==
      0);
  const std::string large(1'000'000, 'x');
  CHECK(message("subject", large, *flaw_of_subject(large)).size() < 300);
}

TEST_CASE("topics filters: what a filter means") {
  struct Case {
    std::string_view filter, subject;
    bool match;
  };
  for (const Case& each : std::vector<Case>{
           {"a", "a", true},          {"a", "b", false},          {"a", "a.b", false},
           {"a.b", "a", false},       {"a", "ab", false},         {"ab", "a", false},
           {"*", "a", true},          {"*", "a.b", false},        {"*.b", "a.b", true},
           {"a.*", "a.b", true},      {"a.*", "a", false},        {"a.*", "a.b.c", false},
           {"a.*.c", "a.b.c", true},  {"a.*.c", "a.b.d", false},  {"*.*", "a.b", true},
           {">", "a", true},          {">", "a.b.c", true},       {"a.>", "a", false},
           {"a.>", "a.b", true},      {"a.>", "a.b.c.d", true},   {"a.>", "b.c", false},
           {"*.>", "a", false},       {"*.>", "a.b", true},       {"*.*.>", "a.b", false},
           {"*.*.>", "a.b.c", true},  {"a.*.>", "a.b.c.d", true}, {"größe.*", "größe.温度", true},
           {"a.>.b", "a.x.b", false}, {"A", "a", false},
       }) {
    CAPTURE(each.filter);
    CAPTURE(each.subject);
    CHECK(matches(each.filter, each.subject) == each.match);
  }
}

TEST_CASE("topics filters: the same as by the definition, at random") {
  Random random(7);
  const auto make = [&](std::vector<std::string> words) {
    std::string text = words[random.below(words.size())];
    for (std::uint64_t more = random.below(5); more > 0; --more)
      text += '.' + words[random.below(words.size())];
    return text;
  };
  std::uint32_t matched = 0;
  std::uint32_t filters = 0;
  for (int i = 0; i < rounds(200'000); ++i) {
    const std::string filter = make({"a", "b", "aa", "*", "*", ">"});
    const std::string subject = make({"a", "b", "aa"});
    REQUIRE(is_subject(subject));
    if (!is_filter(filter)) continue;
    ++filters;
    const bool expected = means(tokens_of(filter), tokens_of(subject));
    matched += expected ? 1 : 0;
    CAPTURE(filter);
    CAPTURE(subject);
    REQUIRE(matches(filter, subject) == expected);
  }
  CHECK(filters > static_cast<std::uint32_t>(rounds(200'000)) / 4);
  CHECK(matched > filters / 20);
}

TEST_CASE("topics filters: any bytes are judged, and matched, without harm") {
  Random random(11);
  for (int i = 0; i < rounds(100'000); ++i) {
    std::string texts[2];
    for (std::string& text : texts)
      for (std::uint64_t left = random.below(24); left > 0; --left)
        text += random.chance(2) ? "a.*>"[random.below(4)] : static_cast<char>(random.below(256));
    if (const auto flaw = flaw_of_subject(texts[0])) (void)why_no_text("subject", texts[0], *flaw);
    // What is a subject is a filter that means itself.
    if (is_subject(texts[0])) {
      REQUIRE(is_filter(texts[0]));
      REQUIRE(matches(texts[0], texts[0]));
    }
    if (is_subject(texts[1])) REQUIRE(matches(">", texts[1]));
    (void)matches(texts[0], texts[1]);
  }
}

}  // namespace millrace::test::topics_filters_test
