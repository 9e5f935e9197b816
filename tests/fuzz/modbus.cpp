// Any device's answers to registers, and registers to values: a value or "bad", and text that is UTF-8.

#include "services/acquisition/modbus/decode.hpp"
#include "services/acquisition/modbus/reply.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::fuzz;
namespace modbus = holdfast::acquisition::modbus;

namespace {

void check(const modbus::reading& r) {
  const bool none = std::holds_alternative<std::monostate>(r.value);
  claim(none == (r.quality == acquisition::quality::bad), "no value and bad quality go together");
  if (auto* d = std::get_if<double>(&r.value))
    claim(!std::isnan(*d), "not a number is no value");
  if (auto* s = std::get_if<std::string>(&r.value))
    nlohmann::json(*s).dump();  // throws where it is not UTF-8
}

/// The one answer with these values, but for what fills the last byte of bits.
std::string answer(const modbus::request& asked, const modbus::reply& r) {
  const auto size = modbus::reads_bits(asked) ? (r.bits.size() + 7) / 8 : r.registers.size() * 2;
  std::string out(3 + size, '\0');
  out[0] = static_cast<char>(asked.unit);
  out[1] = static_cast<char>(asked.function);
  out[2] = static_cast<char>(size);
  for (std::size_t i = 0; i != r.bits.size(); ++i)
    out[3 + i / 8] = static_cast<char>(out[3 + i / 8] | r.bits[i] << i % 8);
  for (std::size_t i = 0; i != r.registers.size(); ++i) {
    out[3 + i * 2] = static_cast<char>(r.registers[i] >> 8);
    out[4 + i * 2] = static_cast<char>(r.registers[i] & 0xff);
  }
  return out;
}

/// `body` is unit and PDU.
void check(const modbus::request& asked, const modbus::reply& r, std::string body) {
  const bool values = !r.bits.empty() || !r.registers.empty();
  claim(values + (r.exception != 0) + !r.problem.empty() == 1, "values, an exception or a problem");
  if (values) {
    claim((modbus::reads_bits(asked) ? r.bits.size() : r.registers.size()) == asked.count, "as many as were asked for");
    if (const auto used = r.bits.size() % 8; used != 0)
      body.back() = static_cast<char>(body.back() & ((1 << used) - 1));
    claim(body == answer(asked, r), "what is believed answers the request");
  }
  if (r.exception != 0) {
    const std::string whole{static_cast<char>(asked.unit), static_cast<char>(asked.function | 0x80),
                            static_cast<char>(r.exception)};
    claim(body == whole, "an exception is one to the request");
  }
}

/// A request, and the bytes that came back: on TCP with the header in front, on a serial line with the CRC behind.
void check_reply(input in) {
  modbus::request asked;
  asked.transaction = static_cast<std::uint16_t>(in.byte() << 8 | in.byte());
  asked.unit = in.byte();
  asked.function = static_cast<std::uint8_t>(1 + in.number(4));
  const auto count = static_cast<unsigned>(in.byte() << 8 | in.byte());
  asked.count = static_cast<std::uint16_t>(1 + count % (modbus::reads_bits(asked) ? 2000 : 125));
  const std::string frame(in.rest());
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size());
  check(asked, modbus::parse_rtu(asked, bytes), frame.substr(0, frame.size() - std::min<std::size_t>(frame.size(), 2)));
  const auto r = modbus::parse_tcp(asked, bytes);
  if (r.problem.empty()) {
    const auto sent = modbus::encode(asked);
    claim(std::equal(sent.begin(), sent.begin() + 4, bytes.begin()), "transaction and protocol are the request's");
    claim(r.exception != 0 || bytes[4] * 256U + bytes[5] + modbus::mbap_bytes == bytes.size(), "the length is true");
  }
  check(asked, r, frame.substr(std::min(frame.size(), modbus::mbap_bytes)));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  config::modbus_point p;
  p.table = static_cast<config::register_table>(in.number(4));
  p.type = static_cast<config::register_type>(in.number(11));
  p.length = in.number(250);
  p.big_endian_bytes = in.coin();
  p.big_endian_words = in.coin();
  if (const auto bit = in.number(32); bit < 16)
    p.bit = bit;
  p.scale = in.coin() ? 1.0 : in.byte() / 8.0 - 7;
  p.offset = in.coin() ? 0.0 : in.byte() - 100.0;
  const auto text = in.rest();
  nlohmann::json(modbus::text_of_bytes(text)).dump();
  std::vector<std::uint16_t> registers;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    registers.push_back(static_cast<std::uint16_t>(static_cast<std::uint8_t>(text[i]) << 8
                                                   | static_cast<std::uint8_t>(text[i + 1])));
  claim(modbus::width(p) >= 1, "a point covers a register");
  check(modbus::decode(p, registers));
  check_reply(input(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  check(modbus::decode_bit({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  return 0;
}
