#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

namespace holdfast::ctl {

namespace {

constexpr std::size_t file_buffer = 256 * 1024;
volatile std::sig_atomic_t stop = 0;

bool goes_at_once(int fd) {
  struct stat about{};
  return ::isatty(fd) == 1 || (::fstat(fd, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode)));
}

// Of UTF-8 text: what does not continue a character begins one.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

} // namespace

void take_signals() {
  struct sigaction action{};
  // No SA_RESTART: waiting calls return. The alarm wakes one that begins to wait just after the signal.
  action.sa_handler = [](int) {
    stop = 1;
    const itimerval soon{{}, {0, 50'000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
  };
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) {
    struct sigaction before{};
    ::sigaction(number, nullptr, &before);
    if (number != SIGHUP || before.sa_handler != SIG_IGN)
      ::sigaction(number, &action, nullptr);
  }
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

bool stop_requested() noexcept { return stop != 0; }

line_output::line_output(int fd) : fd_(fd), at_once_(goes_at_once(fd)) {}

line_output::~line_output() { flush(); }

bool line_output::write(std::string_view lines) {
  buffer_ += lines;
  return at_once_ || buffer_.size() >= file_buffer ? flush() : !broken_;
}

bool line_output::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty() && !broken_) {
    const auto n = ::write(fd_, rest.data(), rest.size());
    if (n > 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      if (stop_requested())
        rest = rest.substr(0, rest.find('\n') + 1);  // whoever still reads gets whole lines
    } else if (errno != EINTR || stop_requested()) {
      broken_ = true;  // a reader that is gone, or one that is stuck while we are asked to stop
      cause_ = errno;
    }
  }
  buffer_.clear();
  return !broken_;
}

std::string line_output::error() const {
  return cause_ == 0 || cause_ == EINTR || cause_ == EPIPE ? "" : std::strerror(cause_);
}

std::string plain(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = '?';
  return out;
}

std::string aligned(const std::vector<std::vector<std::string>>& rows, std::size_t right) {
  std::vector<std::size_t> width;
  for (auto& r : rows) {
    width.resize(std::max(width.size(), r.size()));
    for (std::size_t c = 0; c < r.size(); ++c)
      width[c] = std::max(width[c], characters(r[c]));
  }
  std::string out;
  for (auto& r : rows) {
    std::string line;
    for (std::size_t c = 0; c < r.size(); ++c) {
      const std::string padding(width[c] - characters(r[c]), ' ');
      line += (c == 0 ? "" : "  ") + (c == right ? padding + plain(r[c]) : plain(r[c]) + padding);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string human_bytes(double bytes) {
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string human_count(double count) {
  if (count != std::floor(count))
    return fmt::format("{:.4g}", count);
  auto digits = fmt::format("{:.0f}", std::abs(count));
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), " ");
  return (count < 0 ? "-" : "") + digits;
}

std::string human_duration(std::chrono::milliseconds time) {
  const auto ms = time.count();
  const auto s = ms / 1000;
  if (ms < 1000)
    return fmt::format("{}ms", ms);
  if (s < 60)
    return fmt::format("{}s", s);
  if (s < 3600)
    return s % 60 == 0 ? fmt::format("{}min", s / 60) : fmt::format("{}min {}s", s / 60, s % 60);
  if (s < 86400)
    return fmt::format("{}h {}min", s / 3600, s / 60 % 60);
  return fmt::format("{}d {}h", s / 86400, s / 3600 % 24);
}

} // namespace holdfast::ctl
