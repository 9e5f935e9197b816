#include "services/acquisition/modbus/line.hpp"

#include "services/acquisition/modbus/connect.hpp"
#include "services/acquisition/modbus/reply.hpp"

#include <fmt/core.h>
#include <linux/tcp.h>
#include <modbus/modbus.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <poll.h>
#include <sys/select.h>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <termios.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace holdfast::acquisition::modbus {

using namespace std::chrono_literals;

namespace {

constexpr auto connect_limit = 3s;
/// So many requests in a row without any answer and the connection itself is suspect: a rebooted peer does not tell.
constexpr unsigned suspect_after = 2;
/// A serial line is quiet when nothing came for this long; USB adapters deliver in steps of up to 16 ms.
constexpr auto quiet = 20ms;
constexpr auto longest_noise = 300ms;
constexpr unsigned bits_per_character = 11;

/// Whether the bytes are complete Modbus/TCP frames and nothing else.
bool whole_frames(std::basic_string_view<unsigned char> bytes) {
  while (bytes.size() >= mbap_bytes) {
    const auto size = mbap_bytes + (static_cast<std::size_t>(bytes[4]) << 8 | bytes[5]);
    if (bytes.size() < size)
      return false;
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

std::uint8_t function_of(config::register_table table) {
  switch (table) {
  case config::register_table::coil:
    return MODBUS_FC_READ_COILS;
  case config::register_table::discrete:
    return MODBUS_FC_READ_DISCRETE_INPUTS;
  case config::register_table::input:
    return MODBUS_FC_READ_INPUT_REGISTERS;
  default:
    return MODBUS_FC_READ_HOLDING_REGISTERS;
  }
}

/// libmodbus waits with select(), which has no room for higher descriptors and would write past its set.
std::string refuse_descriptor(int fd) {
  return fmt::format("descriptor {} is above select's limit of {}", fd, FD_SETSIZE);
}

void set_timeouts(modbus_t* m, std::chrono::microseconds limit) {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(limit);
  modbus_set_response_timeout(m, static_cast<std::uint32_t>(s.count()),
                              static_cast<std::uint32_t>((limit - s).count()));
  modbus_set_byte_timeout(m, 0, 0); // the limit is for the whole answer
}

} // namespace

void line::free_context::operator()(_modbus* m) const {
  modbus_free(m);
}

line::line(std::variant<config::endpoint, config::serial_line> transport, patience wait)
    : transport_(std::move(transport)), wait_(std::move(wait)) {}

line::~line() {
  close();
}

std::string line::name() const {
  if (auto* at = std::get_if<config::endpoint>(&transport_))
    return fmt::format("{}:{}", at->host, at->port);
  return std::get<config::serial_line>(transport_).device;
}

std::string line::open() {
  close();
  auto problem = is_tcp() ? open_tcp(std::get<config::endpoint>(transport_))
                          : open_serial(std::get<config::serial_line>(transport_));
  if (problem.empty()) {
    modbus_set_error_recovery(context_.get(), MODBUS_ERROR_RECOVERY_NONE);
    late_ = false;
    silences_ = 0;
  }
  return problem;
}

std::string line::open_tcp(const config::endpoint& at) {
  const auto made = connect_tcp(at, connect_limit, wait_);
  if (made.socket < 0)
    return made.problem;
  // The address is not used: libmodbus gets our socket, because its own connect knows IPv4 only and cannot be stopped.
  context_.reset(modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT));
  std::lock_guard lock(mutex_);
  if (!context_ || made.socket >= FD_SETSIZE || interrupted_) {
    ::close(made.socket);
    return fmt::format("failed to connect {}: {}", name(), interrupted_ ? "stopped" : refuse_descriptor(made.socket));
  }
  modbus_set_socket(context_.get(), made.socket);
  open_ = true;
  return {};
}

std::string line::open_serial(const config::serial_line& at) {
  context_.reset(modbus_new_rtu(at.device.c_str(), static_cast<int>(at.baud), at.parity,
                                static_cast<int>(at.data_bits), static_cast<int>(at.stop_bits)));
  if (!context_ || modbus_connect(context_.get()) != 0)
    return fmt::format("failed to open {}: {}", name(), modbus_strerror(errno));
  std::lock_guard lock(mutex_);
  open_ = true;
  const int fd = modbus_get_socket(context_.get());
  if (fd < FD_SETSIZE)
    return {};
  modbus_close(context_.get());
  open_ = false;
  return fmt::format("failed to open {}: {}", name(), refuse_descriptor(fd));
}

void line::close() {
  std::lock_guard lock(mutex_);
  if (std::exchange(open_, false))
    modbus_close(context_.get());
}

void line::interrupt() {
  std::lock_guard lock(mutex_);
  interrupted_ = true;
  if (open_ && is_tcp())
    ::shutdown(modbus_get_socket(context_.get()), SHUT_RDWR);
}

answer line::read(unsigned unit, const request_group& group, std::chrono::milliseconds timeout) {
  // Gateways close a connection that was idle for a while: that is no failure of the device asked next.
  if (!in_step())
    if (auto problem = open(); !problem.empty())
      return {outcome::broken, {}, {}, std::move(problem)};
  auto a = attempt(unit, group, timeout);
  if (!std::exchange(foreign_, false))
    return a;
  // Somebody's late answer came in front of ours. Ours cannot be told apart safely any more, so the line is cleared
  // and the request made again, once.
  if (is_tcp()) {
    if (auto problem = open(); !problem.empty())
      return {outcome::broken, {}, {}, std::move(problem)};
  } else {
    settle();
  }
  a = attempt(unit, group, timeout);
  a.owed = !is_tcp(); // two were asked for, one came at most
  if (std::exchange(foreign_, false) && is_tcp())
    close();
  return a;
}

answer line::attempt(unsigned unit, const request_group& group, std::chrono::milliseconds timeout) {
  auto* m = context_.get();
  if (modbus_set_slave(m, static_cast<int>(unit)) != 0)
    return {outcome::exception, {}, {}, fmt::format("unit {} is not a Modbus unit number", unit)};
  set_timeouts(m, timeout + wire_time(group));
  received_ = is_tcp() ? bytes_received() : 0;
  const request asked{++transaction_, static_cast<std::uint8_t>(unit), function_of(group.table), group.address,
                      group.count};
  std::array<std::uint8_t, MODBUS_TCP_MAX_ADU_LENGTH> frame{}; // RTU's are shorter
  const int got = send(asked) ? modbus_receive_confirmation(m, frame.data()) : -1;
  const int error = errno;
  quiet_since_ = clock::now();
  if (got < 0)
    return failure(error);
  if (got == 0) // serial: libmodbus does not check the CRC of what another unit says
    return no_answer_of_ours(fmt::format("unit {} instead of {}", frame[0], unit));
  const auto read = std::span<const std::uint8_t>(frame).first(static_cast<std::size_t>(got));
  auto r = is_tcp() ? parse_tcp(asked, read) : parse_rtu(asked, read);
  if (!r.problem.empty())
    return no_answer_of_ours(r.problem);
  silences_ = 0;
  if (r.exception != 0)
    return exception(r.exception);
  return {outcome::values, std::move(r.registers), std::move(r.bits), {}};
}

/// libmodbus gives every raw request of a TCP connection the same transaction, by which a late answer could not be
/// told from ours: there it goes out here.
bool line::send(const request& asked) {
  const auto bytes = encode(asked);
  if (!is_tcp())
    return modbus_send_raw_request(context_.get(), bytes.data() + mbap_bytes, bytes.size() - mbap_bytes) >= 0;
  const auto sent = ::send(modbus_get_socket(context_.get()), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0 && static_cast<std::size_t>(sent) != bytes.size())
    errno = EAGAIN; // the peer takes nothing: the rest of it would have to wait
  return static_cast<std::size_t>(sent) == bytes.size();
}

answer line::exception(std::uint8_t code) const {
  const int error = MODBUS_ENOBASE + code;
  const bool defined = code < MODBUS_EXCEPTION_MAX && code != MODBUS_EXCEPTION_NOT_DEFINED;
  answer a{outcome::exception, {}, {},
           fmt::format("{} answers: {}", name(), defined ? modbus_strerror(error) : fmt::format("exception {}", code))};
  if (error == EMBXGTAR || error == EMBXGPATH)
    a.how = outcome::silent;
  else if (error == EMBXILADD || error == EMBXILVAL)
    a.how = outcome::refused;
  return a;
}

answer line::no_answer_of_ours(std::string_view why) {
  foreign_ = true;
  return {outcome::silent, {}, {}, fmt::format("answers on {} do not match the requests: {}", name(), why), !is_tcp()};
}

answer line::failure(int error) {
  if (error == EMBBADDATA || error == EMBBADCRC) // longer than any frame, damaged
    return no_answer_of_ours(modbus_strerror(error));
  if (error == ETIMEDOUT) {
    late_ = true;
    // Part of an answer was read and its rest would be taken for the start of the next one; or the peer is gone.
    if (is_tcp() && (bytes_received() != received_ || ++silences_ >= suspect_after))
      close();
    return {outcome::silent, {}, {}, fmt::format("no answer on {}", name()), !is_tcp()};
  }
  close();
  return {outcome::broken, {}, {}, fmt::format("{} broke off: {}", name(), modbus_strerror(error)), !is_tcp()};
}

/// Before a request: nothing of an earlier one is on the line, and the peer is there. Late answers that have arrived
/// are taken off; half a one makes the connection useless.
bool line::in_step() {
  if (!is_tcp()) {
    if (std::exchange(late_, false))
      settle();
    tcflush(modbus_get_socket(context_.get()), TCIFLUSH);
    const auto baud = std::get<config::serial_line>(transport_).baud;
    const auto gap = std::max(1750us, std::chrono::microseconds(1000000ULL * bits_per_character * 7 / 2 / baud));
    std::this_thread::sleep_until(quiet_since_ + gap); // the protocol's pause of 3.5 characters between frames
    return true;
  }
  std::basic_string<unsigned char> stale;
  std::array<unsigned char, 4096> chunk;
  const int fd = modbus_get_socket(context_.get());
  for (;;) {
    const auto n = ::recv(fd, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || stale.size() > chunk.size() * 16)
      return false;
    if (n < 0)
      break;
    stale.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return whole_frames(stale);
}

/// Serial: waits until the line is quiet and forgets what was on it.
void line::settle() {
  const int fd = modbus_get_socket(context_.get());
  const auto until = clock::now() + longest_noise;
  std::array<unsigned char, 512> noise;
  pollfd p{fd, POLLIN, 0};
  while (clock::now() < until && poll(&p, 1, static_cast<int>(quiet.count())) > 0)
    if (::read(fd, noise.data(), noise.size()) <= 0)
      break;
  quiet_since_ = clock::now();
}

std::uint64_t line::bytes_received() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  getsockopt(modbus_get_socket(context_.get()), IPPROTO_TCP, TCP_INFO, &info, &size);
  return info.tcpi_bytes_received;
}

/// A slow line must not eat the device's time to answer.
std::chrono::microseconds line::wire_time(const request_group& group) const {
  if (is_tcp())
    return 0us;
  const unsigned characters = 8 + 5 + answer_bytes(group);
  const auto baud = std::get<config::serial_line>(transport_).baud;
  return std::chrono::microseconds(1000000ULL * bits_per_character * characters / baud);
}

std::chrono::milliseconds line::rest_after(std::chrono::milliseconds timeout) const {
  return is_tcp() ? 0ms : timeout;
}

} // namespace holdfast::acquisition::modbus
