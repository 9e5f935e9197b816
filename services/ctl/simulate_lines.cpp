#include "services/ctl/simulate_lines.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <poll.h>
#include <sys/socket.h>

namespace holdfast::ctl {

namespace {

constexpr std::size_t most_unconfirmed = 100000;
constexpr std::size_t write_bytes = 64 << 10;
constexpr int turn_ms = 2; // how evenly lines are made
constexpr std::uint64_t made_per_turn = 5000; // without a set rate

} // namespace

void line_device::run(const std::atomic<bool>& stop) {
  while (!stop) {
    produce();
    if (!socket_ && clock::now() >= retry_at_ && !(socket_ = open_socket(*o_.lines_to, false)))
      lost();
    fill();
    complete_ = o_.lines_total != 0 && made_ >= o_.lines_total && kept_.empty() && out_.empty();
    const bool writes = !connected_ || !out_.empty();
    pollfd p{socket_.get(), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0};
    if (::poll(&p, 1, turn_ms) <= 0)
      continue;
    const bool reads = (p.revents & ~POLLOUT) != 0; // errors too: recv tells them
    if ((reads && !receive()) || (!reads && !send()))
      lost();
  }
}

std::string line_device::counts() const {
  return fmt::format("lines made {} sent {} sent again {} confirmed {} forgotten {} connections {}", made_.load(),
                     sent_.load(), again_.load(), confirmed_.load(), forgotten_.load(), connections_.load());
}

/// At the set rate. What could not be made in its time, because nobody took it, is not made up for.
void line_device::produce() {
  const auto now = clock::now();
  if (o_.confirm && !based_)
    return;
  if (kept_.size() >= most_unconfirmed || pace_ == clock::time_point{}) {
    pace_ = now;
    paced_ = 0;
  }
  const auto past = std::chrono::duration<double>(now - pace_).count();
  const auto due = o_.lines_per_second > 0 ? static_cast<std::uint64_t>(past * o_.lines_per_second)
                                           : paced_ + made_per_turn;
  for (; paced_ < due && kept_.size() < most_unconfirmed; ++paced_) {
    if (o_.lines_total != 0 && made_ >= o_.lines_total)
      return;
    kept_.push_back(line());
    ++made_;
  }
}

std::string line_device::line() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  auto text = fmt::format("line {} t={} ", first_ + kept_.size(),
                          std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  if (text.size() + 1 < o_.line_bytes)
    text.resize(o_.line_bytes - 1, '.');
  return text += '\n';
}

void line_device::fill() {
  while (connected_ && (synced_ || !o_.confirm) && out_.size() < write_bytes && written_ < kept_.size()) {
    out_ += kept_[written_];
    const auto number = first_ + written_++;
    ++(number > last_sent_ ? sent_ : again_);
    last_sent_ = std::max(last_sent_, number);
    if (!o_.confirm)
      drop(number); // nobody will tell
  }
}

/// The socket takes bytes, or its connection has just been made.
bool line_device::send() {
  connections_ += !std::exchange(connected_, true);
  if (out_.empty())
    return true;
  const auto n = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (n > 0)
    out_.erase(0, static_cast<std::size_t>(n));
  return n >= 0 || errno == EAGAIN;
}

bool line_device::receive() {
  std::array<char, 4096> chunk;
  const auto n = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
  if (n <= 0)
    return n < 0 && errno == EAGAIN;
  in_.append(chunk.data(), static_cast<std::size_t>(n));
  for (std::size_t end; (end = in_.find('\n')) != std::string::npos; in_.erase(0, end + 1)) {
    std::int64_t count = 0;
    const auto parsed = std::from_chars(in_.data(), in_.data() + end, count);
    if (parsed.ec != std::errc() || count < 0)
      return false;
    if (o_.confirm)
      counted(count);
  }
  return in_.size() < chunk.size();
}

void line_device::counted(std::int64_t count) {
  if (!std::exchange(based_, true)) {
    first_ = static_cast<std::uint64_t>(count) + 1;
    last_sent_ = first_ - 1;
  }
  synced_ = true;
  // A gateway with a new store counts from 0 again, other devices may feed the same source: the difference stays.
  const auto known = static_cast<std::int64_t>(first_) - 1;
  const auto most = static_cast<std::int64_t>(last_sent_);
  const auto covered = std::clamp(count + offset_, known, std::max(known, most));
  if (count + offset_ < known)
    forgotten_ += static_cast<std::uint64_t>(known - count - offset_);
  offset_ = covered - count;
  drop(static_cast<std::uint64_t>(covered));
}

void line_device::drop(std::uint64_t last) {
  for (; !kept_.empty() && first_ <= last; ++first_) {
    kept_.pop_front();
    written_ -= written_ != 0;
    confirmed_ += o_.confirm;
  }
}

void line_device::lost() {
  socket_ = descriptor();
  connected_ = false;
  in_.clear();
  out_.clear();
  written_ = 0;
  synced_ = false;
  retry_at_ = clock::now() + std::chrono::milliseconds(std::uniform_int_distribution<int>(20, 100)(random_));
}

} // namespace holdfast::ctl
