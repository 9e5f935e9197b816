#pragma once

#include "common/core/range_set.hpp"
#include "tests/crash/log.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace holdfast::store {
class batch_file;
}

namespace holdfast::crash {

/// What was said on the store's sockets so far, and whether a file that a cut left agrees with it.
class books {
public:
  /// early: a store that acknowledged what it was offered, before its commit; to prove that the test can fail.
  explicit books(bool early = false) : early_(early) {}
  void play(const step& s);
  /// A store was opened that must hold what these books promise. Returns what is wrong; empty: nothing.
  std::string check(store::batch_file& file);
  /// For a check from outside, in JSON: per class the records acknowledged and offered, and the seqs confirmed.
  std::string told() const;
  /// Something was acknowledged or confirmed: a file that is empty is wrong.
  bool promised() const noexcept { return promised_; }

private:
  struct offer {
    std::string record_class;
    std::uint32_t count = 0;
    std::uint32_t crc = 0;
    friend auto operator<=>(const offer&, const offer&) = default;
  };
  struct place {
    std::string producer;
    std::uint64_t seq = 0;
    friend bool operator==(const place&, const place&) = default;
  };
  struct producer {
    std::string record_class;
    std::vector<offer> offers;  // by producer seq, the first is 1
    std::uint64_t acknowledged = 0;
  };
  struct tally {  // of one class
    std::uint64_t records = 0;  // that all producer rows together promise
    std::uint64_t present = 0;
    range_set held;
  };
  void received(const step& s);
  void acknowledged(const std::string& producer, std::uint64_t last);
  void sent(const step& s);
  void confirm(std::uint64_t epoch, const std::string& record_class, seq_range r);
  std::string check_class(store::batch_file& file, const std::string& name, tally& t,
                          const std::map<std::string, std::uint64_t>& last);

  std::map<std::string, producer> producers_;
  std::map<offer, place> places_;
  std::map<std::uint64_t, std::map<std::string, range_set>> confirmed_;  // epoch -> class
  std::map<std::tuple<std::uint64_t, std::string, std::uint64_t>, offer> known_;  // (epoch, class, seq): never another
  bool early_;
  bool promised_ = false;
};

} // namespace holdfast::crash
