#pragma once

#include "common/link/profile.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace holdfast::link {

/// One switch, as people read it later.
struct switch_entry {
  std::int64_t unix_nanos = 0;
  std::string record_class;
  std::string from;                  ///< empty: nothing carried it
  std::string to;                    ///< empty: nothing carries it
  std::string cause;
  std::string kind{};                ///< "switched", "diverted", "returned": a diversion is what became of it
  std::optional<milliseconds> gap{}; ///< between the last acknowledgement before and the first one after it
  friend bool operator==(const switch_entry&, const switch_entry&) = default;
};

/// The last switches of all classes, oldest first; what is too much falls out at the old end. It also measures how long
/// each class stood still, from the acknowledgements it is told of. Pure; time is passed in.
class switch_journal {
public:
  explicit switch_journal(std::size_t capacity = 256, std::deque<switch_entry> kept = {});

  void add(switch_entry entry, time_point now);
  /// It is known what became of the class's diversion: "switched" or "returned". False: there is none.
  bool resolve(const std::string& record_class, const std::string& kind, const std::string& cause);
  /// Data of this class were acknowledged by link `over`.
  /// True when that ended a gap.
  bool delivered(const std::string& record_class, const std::string& over, time_point now);

  const std::deque<switch_entry>& entries() const noexcept { return entries_; }
  /// All there ever were in this life.
  std::uint64_t count() const noexcept { return count_; }

private:
  struct progress {
    std::optional<time_point> last{};     // acknowledgement
    std::optional<time_point> before{};   // the last one before a switch whose gap is not known yet
    std::string waits_for{};              // the link it went to
  };

  void bound();

  std::size_t capacity_;
  std::deque<switch_entry> entries_;
  std::map<std::string, progress> classes_;
  std::uint64_t count_ = 0;
};

} // namespace holdfast::link
