#pragma once

// The independent model: plain maps of what was made, what is on the disks and who was told so. It knows nothing of the
// cores; the simulated disks and devices report to it, and it throws a violation the moment a contract is broken.

#include "common/core/blob.hpp"
#include "common/core/range_set.hpp"
#include "tests/simulation/world.hpp"

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace holdfast::simulation {

class oracle {
public:
  struct stream_rules { bool repeats = false; };  // its device keeps what is not confirmed and sends it again
  void stream(const std::string& name, stream_rules rules) { streams_[name].rules = rules; }
  struct class_rules { bool drops = false; duration ttl{}; };  // 0: for ever
  void record_class(const std::string& name, class_rules rules) { rules_[name] = rules; }
  void destination(const std::string& name, const std::set<std::string>& classes) { wants_[name] = classes; }

  // -- the field
  /// The device has given record n to acquisition for the first time; they count from 1.
  void made(const std::string& stream, std::uint64_t n);
  /// The device was told that so many are safe.
  void told_device(const std::string& stream, std::uint64_t count) const;
  /// A life of acquisition is over: what it had and the store had not may be lost, where the device does not repeat.
  void acquisition_ended();

  // -- the store's disk
  void stored(const std::string& producer, std::uint64_t seq, const std::string& record_class, seq_range r,
              std::uint32_t crc, const blob& payload, time_point now);
  void producer_row(const std::string& producer, std::uint64_t seq);
  void removed(const std::string& record_class, seq_range r);
  /// It gave way on purpose; from here on only a gap may be told.
  void dropped(const std::string& record_class, seq_range r, std::uint32_t reason, time_point now);
  void gap_removed(const std::string& record_class, seq_range r);
  void delivery_row(const std::string& destination, const std::string& record_class, const std::vector<seq_range>& all);
  /// After a crash: these are there.
  void reopened(const std::string& record_class, std::size_t batches) const;
  // -- the store's words
  void acknowledged(const std::string& producer, std::uint64_t seq) const;
  /// `before`, `after`: who holds it as the store counts. One that gave way may have the batch on its way still.
  void leased(const std::string& destination, const std::string& link, const std::string& record_class, seq_range r,
              bool backlog, const std::vector<std::string>& before, const std::vector<std::string>& after);
  using connection_id = std::pair<std::uint64_t, std::uint64_t>;  // life of the uplink, number in it
  /// The store knows that this connection of the link stands: what it leases to the link from now on is for this one.
  void stands(const std::string& link, connection_id id) { granted_[link] = {id, {}}; }
  /// SESSION writes the batch to its connection.
  void written(const std::string& link, connection_id id, const std::string& record_class, std::uint64_t first) const;
  /// How the store sends it.
  void sent(const std::string& destination, const std::string& record_class, std::uint64_t first, bool backlog);
  void lease_over(const std::string& destination, const std::string& link, const std::string& record_class,
                  seq_range r);
  void leases_over(const std::string& destination, const std::string& link);
  void complete(const std::string& destination, const std::string& record_class, seq_range r);

  // -- the centre
  struct arrival {
    std::string destination;
    std::uint64_t epoch;
    std::string record_class;
    seq_range seqs;
    std::uint32_t crc, gap_reason;
    bool historical, stray;  // stray: over a link whose lease was over
    blob payload;
    std::string link;
  };
  void archived(const arrival& a);
  /// Its disk is gone, and with it what the gateways were told is there.
  void archive_lost(const std::string& destination);
  void confirmed(const std::string& destination, const std::string& record_class, seq_range r) const;

  /// Everything that is to be anywhere is there.
  bool complete() const;
  std::string missing() const;
  /// produced = delivered + gaps, once nothing is on its way any more.
  void count() const;

  std::uint64_t records() const noexcept { return records_; }
  std::uint64_t gave_way() const;
  std::uint64_t late() const noexcept { return late_; }  ///< live records behind newer ones, from an ended lease
  /// Backlog records behind newer ones: a suspected link still had them when those went.
  std::uint64_t returned() const noexcept { return returned_; }
  /// Records that gave way while a link had them that carries no longer, behind newer ones of its successor.
  std::uint64_t outlived() const noexcept { return outlived_; }
  bool lease_held(const std::string& destination, const std::string& link, const std::string& record_class,
                  std::uint64_t first, bool backlog) const;

private:
  struct record { const std::string* stream; std::uint64_t n; };  // n 0: a gap
  struct batch {
    std::uint64_t last;
    std::uint32_t crc;
    blob payload;
    time_point stored;
    std::vector<record> records;
  };
  struct stream_state {
    stream_rules rules;
    std::uint64_t made = 0, last = 0, stored = 0, gaps = 0, forgiven = 0;
  };
  struct origin_state {
    range_set has;
    range_set had;   // on a disk that is gone
    range_set gaps;  // of has: a gap says that it was there
    range_set told;  // of has: a gap says that it was dropped
    std::uint64_t records = 0;  // stored, and neither told nor of gaps
    std::uint64_t epoch = 0;
    bool ever(seq_range r) const;
    struct latest { std::uint64_t n = 0, first = 0; std::string link{}; };  // a stream's last record, its batch
    std::map<const std::string*, latest> live, backlog;
  };
  void take_dropped(const arrival& a, origin_state& o);
  using lease_key = std::tuple<std::string, std::string, std::uint64_t>;  // destination, class, first

  std::map<std::string, stream_state> streams_;
  std::map<std::string, class_rules> rules_;
  std::map<std::string, range_set> dropped_, untold_;  // class; untold: by some destination not confirmed
  std::map<std::string, std::set<std::string>> wants_;
  std::map<std::string, std::uint64_t> batches_of_;  // producer -> batches stored
  std::map<std::string, std::uint64_t> rows_;        // producer -> the file's number
  std::map<std::string, std::map<std::uint64_t, batch>> batches_;  // class -> first
  std::map<std::string, std::uint64_t> heads_;
  std::map<std::string, std::size_t> kept_;          // class -> batches on the store's disk
  std::map<std::pair<std::string, std::string>, origin_state> centre_;  // destination, class
  std::map<lease_key, std::map<std::string, bool>> leases_;  // link -> as backlog
  struct grant { connection_id to; std::set<std::pair<std::string, std::uint64_t>> batches; };
  std::map<std::string, grant> granted_;  // link -> all that its present connection was leased
  std::map<std::pair<std::string, std::string>, std::set<std::pair<std::string, std::uint64_t>>> held_;  // dest, link
  std::map<lease_key, std::uint64_t> backlog_since_;  // in the order in which they went as backlog for the first time
  std::set<lease_key> was_live_;
  std::uint64_t returned_ = 0;
  bool lost_ = false;  // an archive; then a store may have to begin another epoch
  std::uint64_t records_ = 0;
  std::uint64_t late_ = 0;
  std::uint64_t outlived_ = 0;
};

} // namespace holdfast::simulation
