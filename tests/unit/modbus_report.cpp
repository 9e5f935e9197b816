// Which readings become samples.

#include "services/acquisition/modbus/report.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace holdfast::acquisition;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;
using config::report_kind;

namespace {

struct bench {
  config::modbus_point point;
  reporter report;
  reporter::time_point now{};

  explicit bench(report_kind kind, double dead_band = 0) {
    point.report = kind;
    point.dead_band = dead_band;
    point.report_interval = 10s;
  }
  template <class T> bool take(T value) {
    now += 1s;
    return report.take(point, {value, quality::good}, now);
  }
  bool take_bad() {
    now += 1s;
    return report.take(point, {}, now);
  }
};

} // namespace

TEST_CASE("modbus report: always", "[modbus]") {
  bench b(report_kind::always);
  for (int i = 0; i != 3; ++i)
    CHECK(b.take(1.0));
}

TEST_CASE("modbus report: on change, beyond the dead band of what was reported last", "[modbus]") {
  bench b(report_kind::on_change, 0.5);
  CHECK(b.take(1.0));
  CHECK_FALSE(b.take(1.5));
  CHECK(b.take(1.6));
  CHECK_FALSE(b.take(1.2));
  CHECK(b.take(1.0));
}

TEST_CASE("modbus report: on change notices the smallest step of a large counter", "[modbus]") {
  bench b(report_kind::on_change);
  CHECK(b.take(std::uint64_t{0xfffffffffffffffe}));
  CHECK_FALSE(b.take(std::uint64_t{0xfffffffffffffffe}));
  CHECK(b.take(std::uint64_t{0xffffffffffffffff}));
  CHECK(b.take(std::uint64_t{0}));
}

TEST_CASE("modbus report: on change for bits and texts ignores the dead band", "[modbus]") {
  bench b(report_kind::on_change, 100);
  CHECK(b.take(false));
  CHECK(b.take(true));
  CHECK_FALSE(b.take(true));
  bench t(report_kind::on_change, 100);
  CHECK(t.take(std::string("a")));
  CHECK(t.take(std::string("b")));
}

TEST_CASE("modbus report: on change at least every interval", "[modbus]") {
  bench b(report_kind::on_change);
  int reported = 0;
  for (int i = 0; i != 31; ++i)
    reported += b.take(1.0);
  CHECK(reported == 4);
}

TEST_CASE("modbus report: by interval the latest value", "[modbus]") {
  bench b(report_kind::interval);
  int reported = 0;
  for (int i = 0; i != 31; ++i)
    reported += b.take(static_cast<double>(i));
  CHECK(reported == 4);
}

TEST_CASE("modbus report: the loss of a value and its return are told at once, and once", "[modbus]") {
  for (auto kind : {report_kind::always, report_kind::on_change, report_kind::interval}) {
    bench b(kind);
    CHECK(b.take_bad()); // never had a value
    CHECK_FALSE(b.take_bad());
    CHECK(b.take(1.0));
    CHECK(b.take_bad());
    for (int i = 0; i != 30; ++i)
      CHECK_FALSE(b.take_bad());
    CHECK(b.take(1.0));
  }
}
