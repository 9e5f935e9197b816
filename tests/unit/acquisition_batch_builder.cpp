#include "holdfast/v1/record.pb.h"
#include "services/acquisition/batch_builder.hpp"
#include "services/acquisition/waveform.hpp"

#include <catch2/catch.hpp>
#include <google/protobuf/util/message_differencer.h>

#include <random>

using namespace holdfast;
using namespace holdfast::acquisition;

namespace {

constexpr std::int64_t wall = 1'700'000'000'000'000'000;
constexpr std::int64_t boot = 5'000'000'000;

timestamp at(std::int64_t nanos, std::int64_t step = 0) { return {wall + nanos + step, boot + nanos}; }

v1::Batch parsed(const encoded_batch& b) {
  v1::Batch m;
  REQUIRE(m.ParseFromString(b.payload));
  REQUIRE(static_cast<std::uint32_t>(m.records_size()) == b.records);
  return m;
}

v1::Batch head(bool synchronised = true) {
  v1::Batch b;
  b.set_base_unix_nanos(wall);
  b.set_base_monotonic_nanos(boot);
  b.set_boot_id("boot");
  b.set_clock_quality(synchronised ? v1::CLOCK_QUALITY_SYNCHRONISED : v1::CLOCK_QUALITY_UNSYNCHRONISED);
  return b;
}

bool same(const v1::Batch& a, const v1::Batch& b) {
  INFO(a.ShortDebugString() << "\nagainst\n" << b.ShortDebugString());
  const bool equal = google::protobuf::util::MessageDifferencer::Equals(a, b);
  CHECK(equal);
  return equal;
}

} // namespace

TEST_CASE("frames are encoded as the generated classes encode them", "[acquisition]") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937 chance(seed);
    batch_builder b("boot", 100);
    v1::Batch expected = head();
    std::vector<std::string> streams;
    for (int n = 0; n < 50; ++n) {
      const auto later = static_cast<std::int64_t>(chance() % 3) * (std::int64_t{1} << chance() % 40);
      const auto offset = n == 0 ? 0 : later - 1000;
      const auto stream = "s" + std::to_string(chance() % 200);
      const std::string bytes(chance() % 5 == 0 ? chance() % 70'000 : chance() % 20, static_cast<char>(chance()));
      b.add_frame(stream, at(offset), true, bytes);
      auto it = std::find(streams.begin(), streams.end(), stream);
      auto& r = *expected.add_records();
      r.set_stream(static_cast<std::uint32_t>(it - streams.begin()));
      if (it == streams.end()) {
        streams.push_back(stream);
        expected.add_streams(stream);
      }
      r.set_time_offset_nanos(offset);
      r.set_data(bytes);
    }
    CHECK(b.bytes() > 50);
    const auto out = b.take();
    REQUIRE(same(parsed(out), expected));
    v1::Batch again = parsed(out);
    REQUIRE(again.SerializeAsString().size() == out.payload.size());  // not a byte more than theirs
  }
}

TEST_CASE("samples of every kind", "[acquisition]") {
  batch_builder b("boot", 100);
  v1::Batch e = head(false);
  e.add_streams("dev/p");
  const auto add = [&](auto value, quality q, std::int64_t offset) -> v1::Record& {
    b.add_sample({"dev/p", at(offset), value, q}, false);
    auto& r = *e.add_records();
    r.set_time_offset_nanos(offset);
    return r;
  };
  add(1.5, quality::good, 0).set_number(1.5);
  add(0.0, quality::good, 1).set_number(0.0);  // zero is a value
  add(std::int64_t{-7}, quality::good, 2).set_integer(-7);
  add(UINT64_MAX, quality::good, 3).set_unsigned_integer(UINT64_MAX);
  add(false, quality::good, 4).set_boolean(false);
  add(std::string("text"), quality::good, 5).set_text("text");
  auto& doubtful = add(2.0, quality::uncertain, 6);
  doubtful.set_number(2.0);
  doubtful.set_quality(v1::QUALITY_UNCERTAIN);
  add(std::monostate{}, quality::bad, -7).set_quality(v1::QUALITY_BAD);
  same(parsed(b.take()), e);
}

TEST_CASE("gaps stand in their streams", "[acquisition]") {
  batch_builder b("boot", 100);
  b.add_gap("a", at(0), true, 12, gap_reason::overflow);
  b.add_frame("b", at(1), true, "x");
  b.add_gap("b", at(2), true, 1, gap_reason::oversize);
  v1::Batch e = head();
  e.add_streams("a");
  e.add_streams("b");
  auto& first = *e.add_records();
  first.mutable_gap()->set_count(12);
  first.mutable_gap()->set_reason(v1::GAP_REASON_OVERFLOW);
  auto& second = *e.add_records();
  second.set_stream(1);
  second.set_time_offset_nanos(1);
  second.set_data("x");
  auto& third = *e.add_records();
  third.set_stream(1);
  third.set_time_offset_nanos(2);
  third.mutable_gap()->set_count(1);
  third.mutable_gap()->set_reason(v1::GAP_REASON_OVERSIZE);
  same(parsed(b.take()), e);
}

TEST_CASE("a small batch does not hold the room of a large one", "[acquisition]") {
  batch_builder b("boot", 260'000);
  for (const std::size_t size : {1, 100, 150'000, 200'000}) {
    b.add_frame("a", at(0), true, std::string(size, 'x'));
    const auto out = b.take();
    CHECK(out.payload.capacity() <= out.payload.size() * 5 / 4);
  }
}

TEST_CASE("a full batch goes as it is, also where its last record is long", "[acquisition]") {
  batch_builder b("boot", 260'000);
  b.add_frame("a", at(0), true, std::string(256'000, 'x'));
  CHECK(b.take().payload.capacity() == 260'000);
  b.add_frame("a", at(0), true, std::string(250'000, 'x'));
  b.add_frame("a", at(0), true, std::string(60'000, 'y'));
  const auto out = b.take();
  CHECK(out.payload.capacity() > out.payload.size());  // what shrank would have no byte more
  CHECK(out.payload.capacity() < out.payload.size() + 100);
  CHECK(parsed(out).records(1).data() == std::string(60'000, 'y'));
}

TEST_CASE("a clock step or a change of synchronisation asks for a new batch", "[acquisition]") {
  batch_builder b("boot", 100);
  CHECK(b.empty());
  CHECK(b.fits(at(0), true));
  CHECK(b.fits(at(0, 1'000'000'000), false));  // an empty batch takes anything
  b.add_frame("s", at(0), true, "x");
  CHECK(b.fits(at(3'600'000'000'000), true));
  CHECK(b.fits(at(-5), true));
  CHECK_FALSE(b.fits(at(1), false));
  CHECK(b.fits(at(1, 1'999'999), true));
  CHECK_FALSE(b.fits(at(1, 2'000'000), true));
  CHECK_FALSE(b.fits(at(1, -2'000'000), true));
}

TEST_CASE("a taken batch leaves nothing behind", "[acquisition]") {
  batch_builder b("boot", 100);
  b.add_frame("old", at(9), true, "x");
  CHECK(b.records() == 1);
  b.take();
  CHECK(b.empty());
  CHECK(b.bytes() == 0);
  b.add_frame("new", at(0), false, "y");
  v1::Batch e = head(false);
  e.add_streams("new");
  e.add_records()->set_data("y");
  same(parsed(b.take()), e);
}

TEST_CASE("simulated signals have their shapes", "[acquisition]") {
  std::mt19937_64 chance(1);
  config::simulated_signal s{.amplitude = 2, .offset = 10, .noise = 0, .cycle = std::chrono::milliseconds(4000)};
  const auto values = [&](config::waveform shape) {
    s.shape = shape;
    return std::vector<double>{signal_value(s, 0, chance), signal_value(s, 1, chance), signal_value(s, 7, chance)};
  };
  CHECK(values(config::waveform::sine) == std::vector<double>{10, 12, 8});
  CHECK(values(config::waveform::square) == std::vector<double>{12, 12, 8});
  CHECK(values(config::waveform::sawtooth) == std::vector<double>{8, 9, 11});
  for (double v : values(config::waveform::noise))
    CHECK(v == Approx(10).margin(2));
  s.cycle = {};
  CHECK(values(config::waveform::square) == std::vector<double>{12, 12, 12});
  s.noise = 1;
  CHECK(values(config::waveform::square) != std::vector<double>{12, 12, 12});
}
