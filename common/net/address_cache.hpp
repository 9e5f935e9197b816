#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::net {

/// The last addresses of one name, for when the name service fails or is slow: a link must not wait for what the link
/// itself may be needed for. Kept for the life of the process, however old. Pure: time is passed in.
class address_cache {
public:
  using clock = std::chrono::steady_clock;

  static constexpr std::size_t most = 16;

  /// The name service says so now. An empty answer leaves what is known.
  void resolved(const std::vector<std::string>& addresses, clock::time_point now);
  /// A connection to this one was made: it is the first to be tried.
  void worked(const std::string& address);

  /// In the order in which they are to be tried.
  const std::vector<std::string>& known() const noexcept { return known_; }
  clock::duration age(clock::time_point now) const { return now - since_; }

private:
  void put_first(const std::string& address);

  std::vector<std::string> known_;
  std::string best_;  // worked last
  clock::time_point since_{};
};

} // namespace holdfast::net
