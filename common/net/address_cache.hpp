#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::net {

/// The addresses of one name, in the order in which they are to be tried: the one that worked last, those of which
/// nothing bad is known, as the name service has them, and those that failed, the latest at the end. Kept for the life
/// of the process, however old, for when the name service fails or is slow: a link must not wait for what the link
/// itself may be needed for. Pure: time is passed in.
class address_cache {
public:
  using clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  static constexpr std::size_t most = 16;
  static constexpr int least_share = 3;  ///< each address has at least a third of the time of an attempt

  /// The name service says so now. An empty answer leaves what is known.
  void resolved(const std::vector<std::string>& addresses, clock::time_point now);
  /// The other end welcomed us there, or was seen to be there again: it is the first to be tried.
  void worked(const std::string& address);
  /// It did not answer, or not as it should: the last to be tried.
  void failed(const std::string& address);

  const std::vector<std::string>& known() const noexcept { return known_; }
  clock::duration age(clock::time_point now) const { return now - since_; }

  /// How long the next of `addresses` that are still to be tried may take, when `left` is left of `all`. Of many only the
  /// first few have their turn: the next attempt begins behind those.
  static milliseconds share(milliseconds left, milliseconds all, std::size_t addresses);

private:
  void arrange();

  std::vector<std::string> known_;
  std::string best_;                 // worked last, and has not failed since
  std::vector<std::string> failed_;  // of the known ones, the first to have failed first
  clock::time_point since_{};
};

} // namespace holdfast::net
