#include "services/ctl/simulate_modbus.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <new>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

namespace holdfast::ctl {

using clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t most_connections = 200;
constexpr int registers = 24;
constexpr int bits = 16;

} // namespace

plant::plant() : map_(modbus_mapping_new(bits, bits, registers, registers), modbus_mapping_free) {
  if (!map_)
    throw std::bad_alloc();
}

modbus_mapping_t* plant::at(unsigned unit, std::chrono::milliseconds age) {
  const double t = static_cast<double>(age.count()) / 1000 + 7.0 * unit;
  const bool running = std::fmod(t, 60) < 50;
  const double load = running ? 1 + 0.2 * std::sin(t / 5) : 0.05;
  const double heat = 22 + 18 * load + std::sin(t / 37);
  const auto made = static_cast<std::uint32_t>(std::floor(t / 60) * 50 + std::min(std::fmod(t, 60), 50.0));
  const bool alarm = heat > 43;
  put(0, std::bit_cast<std::uint32_t>(static_cast<float>(6.2 * load + 0.05 * std::sin(t * 3))), 2);
  put(2, std::bit_cast<std::uint32_t>(static_cast<float>(41 * load)), 2);
  put(4, std::bit_cast<std::uint32_t>(static_cast<float>(heat + 9)), 2);
  put(6, made, 2);
  put(8, static_cast<std::uint64_t>(std::lround(heat * 10)), 1);
  put(9, static_cast<std::uint64_t>(running) | static_cast<std::uint64_t>(load > 1) << 1 |
           static_cast<std::uint64_t>(alarm) << 2, 1);
  put(10, unit, 1);
  put(12, static_cast<std::uint64_t>(age.count()), 4);
  text(16, fmt::format("plant unit {}", unit));
  for (int i = 0; i != 3; ++i)
    map_->tab_bits[i] = map_->tab_input_bits[i] = static_cast<std::uint8_t>(map_->tab_registers[9] >> i & 1);
  return map_.get();
}

void plant::put(int address, std::uint64_t value, int words) {
  for (int i = words; i-- != 0; value >>= 16)
    map_->tab_registers[address + i] = map_->tab_input_registers[address + i] = static_cast<std::uint16_t>(value);
}

void plant::text(int address, std::string s) {
  s.resize(16);
  const auto byte = [&](int i) { return static_cast<unsigned char>(s[static_cast<std::size_t>(i)]); };
  for (int i = 0; i != 8; ++i)
    put(address + i, byte(2 * i) * 256U + byte(2 * i + 1), 1);
}

modbus_server::modbus_server(descriptor listener, unsigned units)
    : listener_(std::move(listener)), units_(units), modbus_(modbus_new_tcp("127.0.0.1", 502), modbus_free) {
  modbus_set_indication_timeout(modbus_.get(), 0, 200000); // half a request must not hold up the others
  modbus_set_byte_timeout(modbus_.get(), 0, 200000);
}

void modbus_server::run(const std::atomic<bool>& stop) {
  while (!stop) {
    std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}};
    for (const auto& c : clients_)
      waiting.push_back({c.get(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), slice_ms) <= 0)
      continue;
    for (std::size_t i = waiting.size(); --i != 0;) // from the back: one that leaves moves only those behind it
      if (waiting[i].revents != 0 && !answer(clients_[i - 1].get()))
        clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    if (waiting[0].revents != 0)
      accept();
  }
}

void modbus_server::accept() {
  descriptor c(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (c && clients_.size() < most_connections && c.get() < FD_SETSIZE)
    clients_.push_back(std::move(c));
}

bool modbus_server::answer(int fd) {
  constexpr std::size_t unit_at = 6;
  std::array<std::uint8_t, MODBUS_TCP_MAX_ADU_LENGTH> request;
  modbus_set_socket(modbus_.get(), fd);
  const int size = modbus_receive(modbus_.get(), request.data());
  if (size <= static_cast<int>(unit_at))
    return false;
  ++requests_;
  const unsigned unit = request[unit_at];
  if (unit == 0 || unit > units_)
    return modbus_reply_exception(modbus_.get(), request.data(), MODBUS_EXCEPTION_GATEWAY_TARGET) > 0;
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - start_);
  return modbus_reply(modbus_.get(), request.data(), size, plant_.at(unit, age)) > 0;
}

} // namespace holdfast::ctl
