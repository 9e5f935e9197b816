#pragma once

// The line to the devices of one bus: a libmodbus context on a TCP connection or a serial port. One thread at a time,
// but for interrupt().

#include "common/config/config.hpp"
#include "services/acquisition/modbus/plan.hpp"
#include "services/acquisition/modbus/reply.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct _modbus;

namespace holdfast::acquisition::modbus {

/// How a request ended.
enum class outcome {
  values,
  refused,    ///< exception "illegal address" or "illegal value": the request is wrong, the device lives
  exception,  ///< another exception of the device
  silent,     ///< no answer in time, or the gateway in front says so
  broken,     ///< the line is gone
};

struct answer {
  outcome how = outcome::broken;
  std::vector<std::uint16_t> registers;
  std::vector<std::uint8_t> bits;
  std::string detail;                    ///< the cause, unless values came
  bool owed = false;                     ///< an answer to this request may still come: see late_limit() in overdue.hpp
};

class line {
public:
  using clock = std::chrono::steady_clock;
  /// Called while the line waits for the network; false ends the wait.
  using patience = std::function<bool()>;

  line(std::variant<config::endpoint, config::serial_line> transport, patience wait);
  ~line();
  line(const line&) = delete;
  line& operator=(const line&) = delete;

  /// Empty, or "failed to ...: cause".
  std::string open();
  void close();
  bool is_open() const noexcept { return open_; }

  /// One request and its answer. A line that is out of step with its peer closes itself: is_open() tells.
  answer read(unsigned unit, const request_group& group, std::chrono::milliseconds timeout);

  /// How long a silent device should be left alone on a serial line, where its answer, a little late, would meet the
  /// next request. It may come later still and would fit another request to that unit: `owed` tells, and what the
  /// schedule does about it ends late_limit() after the timeout. An answer later than that, and one that the process
  /// before this one asked for, are not recognised. TCP numbers its requests.
  std::chrono::milliseconds rest_after(std::chrono::milliseconds timeout) const;

  /// Any thread: ends a request that waits on TCP, at once.
  void interrupt();

  std::string name() const;

private:
  struct free_context {
    void operator()(_modbus* m) const;
  };

  bool is_tcp() const { return std::holds_alternative<config::endpoint>(transport_); }
  std::string open_tcp(const config::endpoint& at);
  std::string open_serial(const config::serial_line& at);
  answer attempt(unsigned unit, const request_group& group, std::chrono::milliseconds timeout);
  bool send(const request& asked);
  answer exception(std::uint8_t code) const;
  answer no_answer_of_ours(std::string_view why);
  answer failure(int error);
  bool in_step();
  void settle();
  std::uint64_t bytes_received() const;
  std::chrono::microseconds wire_time(const request_group& group) const;

  std::variant<config::endpoint, config::serial_line> transport_;
  patience wait_;
  std::unique_ptr<_modbus, free_context> context_;
  std::mutex mutex_;                     // the socket must not be closed while another thread shuts it down
  bool open_ = false;
  bool interrupted_ = false;
  bool late_ = false;                    // an answer may still come for a request that was given up
  bool foreign_ = false;                 // an answer to something else was read
  std::uint16_t transaction_ = 0;        // of the last request, over all connections
  unsigned silences_ = 0;                // in a row, of all devices
  std::uint64_t received_ = 0;           // on this connection, before the request
  clock::time_point quiet_since_{};
};

} // namespace holdfast::acquisition::modbus
