// Registers of any device to values: a value or "bad", and text that is UTF-8.

#include "services/acquisition/modbus/decode.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
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
  check(modbus::decode_bit({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  return 0;
}
