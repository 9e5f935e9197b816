#pragma once

// What survives a crash. The product's cores write through LMDB (batch_file, archive); here is a model of these two
// classes at the same seam, with LMDB's promise: a transaction is there wholly or not at all, and one that was on its
// way to the disk when the process ended may be either.

#include "services/collector/inbox.hpp"
#include "services/store/batch_file.hpp"
#include "services/store/class_policy.hpp"
#include "services/store/route_board.hpp"
#include "tests/simulation/oracle.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::simulation {

struct store_disk {
  std::uint64_t epoch = 1;
  std::map<std::string, std::uint64_t> heads;
  std::map<std::string, std::map<std::uint64_t, store::batch>> classes;
  std::map<std::string, store::producer_table::row> producers;
  std::map<std::pair<std::string, std::string>, std::vector<seq_range>> delivery;
  std::map<std::string, v1::LinkRow> links;
  std::map<std::string, v1::JournalRow> journals;
  v1::ExpiryRow expiry;
  unsigned boot = 1;            // of the computer
  std::vector<task> in_flight;  // the transaction on its way
  time_point failing{};         // commits fail until then
  duration slow{};              // commits take so much longer
};

/// The store's file in one life of the store: services/store/batch_file.hpp. disk_gaps.cpp has what gave way.
class store_file {
public:
  store_file(world& w, store_disk& d, oracle& o, const std::vector<config::record_class>& classes);

  std::uint64_t epoch() const { return disk_.epoch; }
  const std::map<std::string, std::uint64_t>& heads() const noexcept { return heads_; }
  std::uint64_t head(const std::string& c) const { return heads_.at(c); }
  bool has_class(const std::string& c) const { return heads_.contains(c); }
  void load(store::producer_table& producers, store::delivery_state& delivery) const;
  store::route_board::kept kept() const;
  std::optional<store::batch> read_from(const std::string& record_class, std::uint64_t seq) const;
  v1::ExpiryRow expiry() const { return disk_.expiry; }
  store::class_policy::sizes used() const;

  class update {
  public:
    explicit update(store_file& f) : file_(f), heads_(f.heads_) {}
    seq_range append(const std::string& producer, std::uint64_t seq, const std::string& record_class,
                     std::uint32_t count, std::uint32_t crc, const blob& payload);
    void producer(const std::string& name, const std::string& record_class, std::uint64_t last_seq,
                  const std::string& position);
    void delivered(const std::string& destination, const std::string& record_class, const std::vector<seq_range>& all);
    void link(const std::string& name, const v1::LinkRow& row);
    void journal(const std::string& destination, const v1::JournalRow& row);
    void expiry(const v1::ExpiryRow& row);
    void remove(const std::string& record_class, seq_range r);
    void renew_epoch();

    struct held_batch { seq_range seqs; std::uint64_t bytes; };
    std::optional<held_batch> next_held(const std::string& record_class, std::uint64_t seq);
    void give_up(const std::string& record_class, seq_range held, std::uint32_t reason);
    store::class_policy::sizes used();

  private:
    friend store_file;
    using table = std::map<std::uint64_t, store::batch>;
    table& view(const std::string& record_class);
    void cut_gap(table& t, std::uint64_t at);
    void remove_from(table& t, const std::string& record_class, seq_range r);
    store_file& file_;
    std::map<std::string, std::uint64_t> heads_;
    std::vector<task> steps_;
    std::map<std::string, std::shared_ptr<table>> tables_;  // of classes that give way: as the transaction sees them
  };
  /// On its way from here; `committed` or `failed` ends it.
  void begin(const update& u) { disk_.in_flight = u.steps_; }
  void committed(const update& u);
  void failed() { disk_.in_flight.clear(); }

private:
  world& w_;
  store_disk& disk_;
  oracle& oracle_;
  std::map<std::string, std::uint64_t> heads_;
  std::set<std::string> yielding_;  // classes whose batches may give way
  std::vector<task> late_;
};

inline constexpr std::uint64_t row_bytes = 256;  // of a batch, whatever its records
/// What its rows take, in the model.
std::uint64_t bytes_of(const std::map<std::uint64_t, store::batch>& table);
std::size_t batches_of(const std::map<std::uint64_t, store::batch>& table);

/// The store's process ended, perhaps in a commit.
void crash(world& w, store_disk& d, const oracle& o);

struct archive_disk {
  struct row { std::uint32_t count, crc, gap_reason; };
  std::map<collector::origin, std::map<std::uint64_t, row>> batches;
  std::map<collector::origin, std::vector<seq_range>> origins;
  std::vector<task> rows_in_flight, batches_in_flight;
  time_point failing{};
  duration slow{};

  void load(collector::inbox& into) const;
  bool same(const collector::origin& o, seq_range r, std::uint32_t crc) const;
  bool same_elsewhere(const collector::origin& o, seq_range r, std::uint32_t crc) const;
  void apply();
};

void crash(world& w, archive_disk& d);

} // namespace holdfast::simulation
