// Records as JSON lines: what is printed must be what nlohmann reads back.

#include "common/render/record_json.hpp"

#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>
#include <sstream>

using namespace holdfast;

namespace {

constexpr std::int64_t noon = 1'795'359'600'000'000'000;  // 2026-11-22T15:00:00Z

v1::RecordPlace place_of(std::uint64_t first_seq) {
  v1::RecordPlace place;
  place.set_gateway("plant \"7\"");
  place.set_epoch(0xC0FFEE);
  place.set_record_class("telemetry");
  place.set_first_seq(first_seq);
  return place;
}

v1::Batch batch_of(std::int64_t base = noon) {
  v1::Batch batch;
  batch.add_streams("press-7/vibration");
  batch.add_streams("line\n2");
  batch.set_base_unix_nanos(base);
  batch.set_clock_quality(v1::CLOCK_QUALITY_SYNCHRONISED);
  return batch;
}

std::vector<nlohmann::json> read_back(const v1::RecordPlace& place, const v1::Batch& batch) {
  std::string text;
  render::append_json_lines(text, place, batch);
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    lines.push_back(nlohmann::json::parse(line));
  return lines;
}

nlohmann::json value_line(const std::function<void(v1::Record&)>& fill) {
  auto batch = batch_of();
  fill(*batch.add_records());
  return read_back(place_of(1), batch).at(0);
}

std::string time_text(std::int64_t nanos) {
  std::string out;
  render::append_time(out, nanos);
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out;
  render::append_base64(out, bytes);
  return out;
}

} // namespace

TEST_CASE("a record has its identity, time and value", "[ctl][render]") {
  auto batch = batch_of();
  batch.add_records()->set_number(12.5);
  auto& second = *batch.add_records();
  second.set_stream(1);
  second.set_time_offset_nanos(1'000'000'001);
  second.set_quality(v1::QUALITY_BAD);
  second.set_integer(-3);

  const auto lines = read_back(place_of(41), batch);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == nlohmann::json{{"gateway", "plant \"7\""}, {"stream", "press-7/vibration"}, {"class", "telemetry"},
                                   {"seq", 41}, {"time", "2026-11-22T15:00:00.000000000Z"},
                                   {"clock", "synchronised"}, {"value", 12.5}, {"epoch", "0000000000c0ffee"}});
  CHECK(lines[1] == nlohmann::json{{"gateway", "plant \"7\""}, {"stream", "line\n2"}, {"class", "telemetry"},
                                   {"seq", 42}, {"time", "2026-11-22T15:00:01.000000001Z"},
                                   {"clock", "synchronised"}, {"quality", "bad"}, {"value", -3},
                                   {"epoch", "0000000000c0ffee"}});
}

TEST_CASE("keys keep their order and the epoch is last", "[ctl][render]") {
  auto batch = batch_of();
  batch.add_records()->set_boolean(true);
  std::string text;
  render::append_json_lines(text, place_of(1), batch);
  CHECK(text == R"({"gateway":"plant \"7\"","stream":"press-7/vibration","class":"telemetry","seq":1,)"
                R"("time":"2026-11-22T15:00:00.000000000Z","clock":"synchronised","value":true,)"
                R"("epoch":"0000000000c0ffee"})"
                "\n");
}

TEST_CASE("numbers survive to the last bit", "[ctl][render]") {
  for (double d : {0.1, 1e300, -5e-324, 1.0 / 3, 123456789.125, 0.0})
    CHECK(value_line([&](auto& r) { r.set_number(d); })["value"].get<double>() == d);
  const auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(value_line([&](auto& r) { r.set_unsigned_integer(most); })["value"].get<std::uint64_t>() == most);
  const auto least = std::numeric_limits<std::int64_t>::min();
  CHECK(value_line([&](auto& r) { r.set_integer(least); })["value"].get<std::int64_t>() == least);
}

TEST_CASE("NaN and the infinities are strings, nothing is null", "[ctl][render]") {
  const auto infinity = std::numeric_limits<double>::infinity();
  CHECK(value_line([](auto& r) { r.set_number(std::nan("")); })["value"] == "NaN");
  CHECK(value_line([&](auto& r) { r.set_number(infinity); })["value"] == "Infinity");
  CHECK(value_line([&](auto& r) { r.set_number(-infinity); })["value"] == "-Infinity");
  CHECK(value_line([](auto&) {})["value"].is_null());
}

TEST_CASE("text is escaped, and what is not UTF-8 replaced", "[ctl][render]") {
  std::string controls;
  for (char c = 0; c < 0x20; ++c)
    controls += c;
  controls += "\x7F\"\\/";
  CHECK(value_line([&](auto& r) { r.set_text(controls); })["text"] == controls);
  const std::string good = "20 °C, 压力, 😀";
  CHECK(value_line([&](auto& r) { r.set_text(good); })["text"] == good);
  const std::string replacement = "\xEF\xBF\xBD";
  for (std::string bad : {"\xFF", "\xC3", "\xC0", "\xF5", "\x80"})
    CHECK(value_line([&](auto& r) { r.set_text("a" + bad + "b"); })["text"] == "a" + replacement + "b");
  // An overlong form and a surrogate: every byte stands for itself.
  CHECK(value_line([](auto& r) { r.set_text("\xE0\x80\x80"); })["text"] == replacement + replacement + replacement);
  CHECK(value_line([](auto& r) { r.set_text("\xED\xA0\x80"); })["text"] == replacement + replacement + replacement);
}

TEST_CASE("any byte in any place gives a line that can be read", "[ctl][render]") {
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; b += 7) {
      const std::string text{static_cast<char>(a), static_cast<char>(b), 'x', static_cast<char>(a)};
      std::string line;
      render::append_json_string(line, text);
      REQUIRE_NOTHROW(nlohmann::json::parse(line));
    }
}

TEST_CASE("bytes are base64 as in RFC 4648", "[ctl][render]") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64(std::string("\x00\xFF\xFE", 3)) == "AP/+");
  CHECK(value_line([](auto& r) { r.set_data("fooba"); })["data"] == "Zm9vYmE=");
}

TEST_CASE("times at the edges", "[ctl][render]") {
  CHECK(time_text(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(time_text(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(time_text(1'709'164'800'000'000'000) == "2024-02-29T00:00:00.000000000Z");
  CHECK(time_text(std::numeric_limits<std::int64_t>::max()) == "2262-04-11T23:47:16.854775807Z");
  CHECK(time_text(std::numeric_limits<std::int64_t>::min()) == "1677-09-21T00:12:43.145224192Z");
}

TEST_CASE("a batch across seconds, before 1970 and beyond the range", "[ctl][render]") {
  auto batch = batch_of(-1);
  for (std::int64_t offset : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1'000'000'000},
                              std::numeric_limits<std::int64_t>::min()})
    batch.add_records()->set_time_offset_nanos(offset);
  batch.set_clock_quality(v1::CLOCK_QUALITY_UNSPECIFIED);
  const auto lines = read_back(place_of(1), batch);
  CHECK(lines[0]["time"] == "1969-12-31T23:59:59.999999999Z");
  CHECK(lines[1]["time"] == "1970-01-01T00:00:00.000000000Z");
  CHECK(lines[2]["time"] == "1969-12-31T23:59:58.999999999Z");
  CHECK(lines[3]["time"] == "1677-09-21T00:12:43.145224192Z");
  CHECK(lines[0]["clock"] == "unsynchronised");
}

TEST_CASE("gaps, unknown streams and unknown reasons", "[ctl][render]") {
  const auto line = value_line([](auto& r) {
    r.set_stream(9);
    r.mutable_gap()->set_count(17);
    r.mutable_gap()->set_reason(v1::GAP_REASON_OVERFLOW);
  });
  CHECK(line["stream"].is_null());
  CHECK(line["gap"] == nlohmann::json{{"count", 17}, {"reason", "overflow"}});

  std::string text;
  render::append_json_gap(text, place_of(5), 3, 99);
  const auto gap = nlohmann::json::parse(text);
  CHECK(gap["seq"] == 5);
  CHECK(gap["gap"] == nlohmann::json{{"count", 3}, {"reason", "unknown"}});
}

TEST_CASE("lines for people", "[ctl][render]") {
  auto batch = batch_of();
  batch.add_records()->set_data("ok 200");
  batch.add_records()->set_data(std::string("\x01\x02", 2));
  batch.mutable_records(1)->set_quality(v1::QUALITY_UNCERTAIN);
  std::string text;
  render::append_human_lines(text, place_of(7), batch);
  CHECK(text == "2026-11-22T15:00:00.000000000Z  telemetry #7  press-7/vibration  \"ok 200\"\n"
                "2026-11-22T15:00:00.000000000Z  telemetry #8  press-7/vibration  base64:AQI=  [uncertain]\n");
}

TEST_CASE("lines for people show each kind of value, why records are missing, and a clock that is not set", "[ctl][render]") {
  auto batch = batch_of();
  batch.add_records()->set_integer(-3);
  batch.add_records()->set_unsigned_integer(std::numeric_limits<std::uint64_t>::max());
  batch.add_records()->set_boolean(true);
  batch.add_records()->set_boolean(false);
  batch.add_records()->set_text("say \"hi\"");
  batch.add_records();
  const std::pair<v1::GapReason, const char*> reasons[] = {
    {v1::GAP_REASON_UNSPECIFIED, "unspecified"}, {v1::GAP_REASON_OVERSIZE, "oversize"},
    {v1::GAP_REASON_EXPIRED, "expired"},         {v1::GAP_REASON_DISPLACED, "displaced"},
    {v1::GAP_REASON_DAMAGED, "damaged"},         {v1::GAP_REASON_SOURCE_FAILED, "source_failed"},
    {v1::GAP_REASON_NOT_HELD, "not_held"},       {v1::GAP_REASON_CONFIRMED_BEFORE, "confirmed_before"}};
  std::string expected = "-3\n18446744073709551615\ntrue\nfalse\n\"say \\\"hi\\\"\"\n-\n";
  for (auto& [reason, text] : reasons) {
    auto& gap = *batch.add_records()->mutable_gap();
    gap.set_count(7);
    gap.set_reason(reason);
    expected += std::string("gap of 7 (") + text + ")\n";
  }
  std::string text;
  render::append_human_lines(text, place_of(1), batch);
  std::string values;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    values += line.substr(line.find("vibration") + 11) + "\n";
  CHECK(values == expected);

  batch.set_clock_quality(v1::CLOCK_QUALITY_UNSYNCHRONISED);
  text.clear();
  render::batch_lines(place_of(1), batch).append_human(text, 0);
  CHECK(text == "2026-11-22T15:00:00.000000000Z  telemetry #1  press-7/vibration  -3  [clock unsynchronised]\n");
}
