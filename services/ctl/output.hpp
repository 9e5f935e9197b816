#pragma once

// Standard output, stop signals, and tables and figures as people read them.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::ctl {

/// From now on SIGINT, SIGTERM and SIGHUP (unless ignored, as by nohup) only ask to stop and end whatever waits, and a
/// closed pipe is an error of write, not a signal.
void take_signals();
bool stop_requested() noexcept;

/// Whole lines to a file descriptor. To a terminal or a pipe they go at once, to a file when enough have come together.
class line_output {
public:
  explicit line_output(int fd);
  ~line_output();
  line_output(const line_output&) = delete;
  line_output& operator=(const line_output&) = delete;

  /// `lines` ends with a newline. False: nobody reads any more.
  bool write(std::string_view lines);
  bool flush();
  /// Why a write failed, such as a full disk; empty when none did, the reader just left, or we were asked to stop.
  std::string error() const;

private:
  int fd_;
  bool at_once_;
  bool broken_ = false;
  int cause_ = 0;
  std::string buffer_;
};

/// Terminals obey control characters; what a peer says must not make them: each becomes a '?'.
std::string plain(std::string_view text);

/// Rows of equal length as lines, in columns two spaces apart; column `right` leans right.
std::string aligned(const std::vector<std::vector<std::string>>& rows, std::size_t right);

/// "0 B", "1.2 GiB"
std::string human_bytes(double bytes);
/// "950", "12 345 678"
std::string human_count(double count);
/// "250ms", "12s", "3min 20s", "2h 5min", "4d 3h"
std::string human_duration(std::chrono::milliseconds time);

} // namespace holdfast::ctl
