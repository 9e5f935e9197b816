// What may be believed of an answer. Sources: MODBUS Messaging on TCP/IP Implementation Guide V1.0b ("guide"), MODBUS
// Application Protocol V1.1b3 ("protocol"), MODBUS over Serial Line V1.02 ("serial").

#include "services/acquisition/modbus/reply.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace holdfast::acquisition::modbus;

namespace {

using frame = std::vector<std::uint8_t>;

/// The protocol's own example, 6.3: registers 107 to 109 of unit 17.
const request asked{0x1234, 17, 3, 107, 3};
const frame good{0x12, 0x34, 0, 0, 0, 9, 17, 3, 6, 0x02, 0x2b, 0, 0, 0, 0x64};
const frame refusal{0x12, 0x34, 0, 0, 0, 3, 17, 0x83, 2};

frame with(frame f, std::size_t at, std::uint8_t value) {
  f.at(at) = value;
  return f;
}

/// The same answer on a serial line, with any CRC: whoever reads the line has compared it.
frame serial(const frame& tcp) {
  frame f(tcp.begin() + mbap_bytes, tcp.end());
  f.insert(f.end(), 2, 0xcc);
  return f;
}

/// Why nothing of it is believed; empty if it is.
std::string problem(const reply& r) {
  const int kinds = !r.registers.empty() + !r.bits.empty() + (r.exception != 0) + !r.problem.empty();
  CHECK(kinds == 1);
  return r.problem;
}

std::string tcp(const frame& f, const request& to = asked) {
  return problem(parse_tcp(to, f));
}

std::string rtu(const frame& f, const request& to = asked) {
  return problem(parse_rtu(to, f));
}

} // namespace

TEST_CASE("modbus reply: a request on the wire", "[modbus]") {
  const auto bytes = encode(asked); // guide 3.1.3, protocol 6.3
  CHECK(frame(bytes.begin(), bytes.end()) == frame{0x12, 0x34, 0, 0, 0, 6, 17, 3, 0, 107, 0, 3});
  const auto far = encode({1, 2, 4, 0xfffe, 0x007d});
  CHECK(frame(far.begin() + mbap_bytes, far.end()) == frame{2, 4, 0xff, 0xfe, 0, 0x7d});
}

TEST_CASE("modbus reply: registers", "[modbus]") { // protocol 6.3, 6.4
  const std::vector<std::uint16_t> values{0x022b, 0, 0x0064};
  CHECK(parse_tcp(asked, good).registers == values);
  CHECK(parse_rtu(asked, serial(good)).registers == values);
  auto input = asked;
  input.function = 4;
  CHECK(parse_tcp(input, with(good, 7, 4)).registers == values);
}

TEST_CASE("modbus reply: bits, the first in the lowest place", "[modbus]") { // protocol 6.1: 0xcd 0x6b 0x05 are 20 to 38
  const std::vector<std::uint8_t> values{1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1};
  for (auto function : frame{1, 2}) {
    const request coils{1, 17, function, 19, 19};
    frame f{0, 1, 0, 0, 0, 6, 17, function, 3, 0xcd, 0x6b, 0x05};
    CHECK(parse_tcp(coils, f).bits == values);
    CHECK(parse_rtu(coils, serial(f)).bits == values);
    f.back() |= 0xf8; // is filled with zeros; that no more than the bits are read is enough
    CHECK(parse_tcp(coils, f).bits == values);
    CHECK(tcp(with(f, 8, 2), coils) == "byte count 2 instead of 3");
  }
}

TEST_CASE("modbus reply: the largest answers", "[modbus]") {
  frame f{0, 1, 0, 0, 0, 253, 17, 3, 250};
  f.resize(f.size() + 250, 7);
  CHECK(parse_tcp({1, 17, 3, 0, 125}, f).registers == std::vector<std::uint16_t>(125, 0x0707));
  CHECK(parse_tcp({1, 17, 1, 0, 2000}, with(f, 7, 1)).bits.size() == 2000);
}

TEST_CASE("modbus reply: every field of the TCP header counts", "[modbus]") { // guide 3.1.3
  CHECK(tcp(with(good, 0, 0x13)) == "transaction 4916 instead of 4660");
  CHECK(tcp(with(good, 1, 0x33)) == "transaction 4659 instead of 4660");
  CHECK(tcp(with(good, 2, 1)) == "protocol 256 instead of 0");
  CHECK(tcp(with(good, 3, 7)) == "protocol 7 instead of 0");
  CHECK(tcp(with(good, 4, 1)) == "length 265 instead of 9");
  CHECK(tcp(with(good, 5, 0)) == "length 0 instead of 9");
  CHECK(tcp(with(good, 5, 8)) == "length 8 instead of 9");
  CHECK(tcp(with(good, 5, 10)) == "length 10 instead of 9");
  for (unsigned unit : {0, 1, 16, 18, 255}) // 4.4.2.5: copied, whoever answers; neither 0 nor 255 stands for all
    CHECK(tcp(with(good, 6, static_cast<std::uint8_t>(unit))) == "unit " + std::to_string(unit) + " instead of 17");
}

TEST_CASE("modbus reply: on a serial line too the unit counts", "[modbus]") { // serial 2.4.1
  for (unsigned unit : {0, 16, 18, 247})
    CHECK(rtu(with(serial(good), 0, static_cast<std::uint8_t>(unit))) ==
          "unit " + std::to_string(unit) + " instead of 17");
}

TEST_CASE("modbus reply: function and count are those of the request", "[modbus]") { // protocol 6.1 to 6.4
  for (const bool on_tcp : {true, false}) {
    const auto why = [&](const frame& f) { return on_tcp ? tcp(f) : rtu(serial(f)); };
    for (unsigned function : {0, 1, 2, 4, 16, 127})
      CHECK(why(with(good, 7, static_cast<std::uint8_t>(function))) ==
            "function " + std::to_string(function) + " instead of 3");
    CHECK(why(with(good, 8, 4)) == "byte count 4 instead of 6");
    CHECK(why(with(good, 8, 5)) == "byte count 5 instead of 6");
    CHECK(why(with(good, 8, 254)) == "byte count 254 instead of 6");
    auto more = with(good, 5, 10);
    more.push_back(0);
    CHECK(why(more) == "size 10 instead of 9");
    auto less = with(good, 5, 8);
    less.pop_back();
    CHECK(why(less) == "size 8 instead of 9");
  }
}

TEST_CASE("modbus reply: an exception to this request, and to no other", "[modbus]") { // protocol 7
  for (const bool on_tcp : {true, false}) {
    const auto read = [&](const frame& f) { return on_tcp ? parse_tcp(asked, f) : parse_rtu(asked, serial(f)); };
    for (unsigned code : {1, 2, 6, 11, 12, 255})
      CHECK(read(with(refusal, 8, static_cast<std::uint8_t>(code))).exception == code);
    CHECK(problem(read(with(refusal, 8, 0))) == "exception 0");
    CHECK(problem(read(with(refusal, 7, 0x84))) == "function 132 instead of 3");
    CHECK(problem(read(with(refusal, 6, 16))) == "unit 16 instead of 17");
    auto more = refusal;
    more.push_back(0);
    CHECK(problem(read(more)) == "size of an exception 4 instead of 3");
  }
  CHECK(tcp(with(refusal, 1, 0)) == "transaction 4608 instead of 4660");
  CHECK(tcp(with(refusal, 3, 1)) == "protocol 1 instead of 0");
  CHECK(parse_tcp(asked, with(refusal, 5, 4)).exception == 2); // Marstek's Venus counts a byte that does not come
}

TEST_CASE("modbus reply: cut off anywhere it is none", "[modbus]") {
  for (const auto& whole : {good, refusal, serial(good), serial(refusal)})
    for (std::size_t n = 0; n != whole.size(); ++n) {
      const frame part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      CHECK(!tcp(part).empty());
      CHECK(!rtu(part).empty());
    }
}
