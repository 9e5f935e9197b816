#pragma once

#include <cstdint>
#include <string>

namespace holdfast::uplink {

/// The store that welcomed us, and whether a welcome leaves a session as it is. A hello is repeated while the store is
/// slow, and each is answered: the welcomes behind the first are of the same store, in the same life, and nothing was
/// asked since. Any other welcome says that the store holds no lease of ours. Pure.
class patron {
public:
  enum class news {
    repeated,  ///< what stands may stand
    anew,      ///< nothing is leased to us; an attempt that has no session yet may go on
    other,     ///< another store or epoch: an attempt under the old one is in vain, too
  };

  /// `asked`: a hello waits for its answer. `life` 0: an older store, which does not tell.
  news welcome(const std::string& gateway, std::uint64_t epoch, std::uint64_t life, bool asked) {
    const bool same = gateway_ == gateway && epoch_ == epoch;
    const bool again = same && life_ == life && life != 0 && !asked;
    gateway_ = gateway;
    epoch_ = epoch;
    life_ = life;
    return again ? news::repeated : same ? news::anew : news::other;
  }
  bool known() const noexcept { return !gateway_.empty(); }
  const std::string& gateway() const noexcept { return gateway_; }
  std::uint64_t epoch() const noexcept { return epoch_; }

private:
  std::string gateway_;  // empty: nobody has welcomed us
  std::uint64_t epoch_ = 0;
  std::uint64_t life_ = 0;
};

} // namespace holdfast::uplink
