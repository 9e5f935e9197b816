#pragma once

#include "common/config/config.hpp"
#include "common/core/blob.hpp"
#include "common/core/range_set.hpp"
#include "common/service/runtime.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/reserve.hpp"
#include "common/storage/start_marker.hpp"
#include "holdfast/v1/storage.pb.h"
#include "services/store/delivery_state.hpp"
#include "services/store/producer_table.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

/// A batch as the store keeps it.
struct batch {
  std::string record_class;
  seq_range seqs;
  std::uint32_t crc = 0;
  std::uint32_t gap_reason = 0;
  blob payload;
  bool unreadable = false;  // what lies there is not what was written; else a gap is one that was stored
};

/// What a row says that a destination confirmed; nullopt where it cannot be: ranges in order, up to the highest number.
std::optional<std::vector<seq_range>> sound_ranges(const v1::DeliveryRow& row, std::uint64_t head);

/// The store's LMDB file and what is in it:
///
///   meta        "store" -> StoreIdentity, "expiry" -> ExpiryRow
///   classes     class -> ClassRow                      highest seq ever assigned
///   producers   producer -> ProducerRow
///   delivery    destination 0x00 class -> DeliveryRow
///   links       link -> LinkRow
///   journal     destination -> JournalRow
///   class/NAME  seq key of the first record -> stored_batch, or a gap: records that gave way, until that is told
///
/// The rows beside the batches are sealed (row.hpp). Only WRITER begins write transactions; DISPATCHER reads. One lock
/// file in the directory keeps a second store out. Beside it are the reserve (reserve.hpp) and what earlier lives left
/// to say about the file (start_marker.hpp).
class batch_file {
public:
  /// Opens or creates. A damaged file is set aside (renamed, never deleted); a new one takes over what of it can be
  /// read (salvage.hpp), as `destinations` still wait for it: set_aside() and salvaged() tell.
  /// Throws storage::foreign_directory, service::already_running or storage::error.
  batch_file(const config::store& settings, const std::string& gateway,
             const std::vector<config::record_class>& classes,
             const std::vector<config::destination>& destinations = {});
  ~batch_file();

  /// From any thread.
  std::uint64_t epoch() const noexcept { return epoch_; }
  const std::string& set_aside() const noexcept { return set_aside_; }
  /// What of that file goes on here, and which ranges are lost.
  const std::string& salvaged() const noexcept { return salvaged_; }
  storage::environment& env() noexcept { return *env_; }
  storage::reserve& reserve() noexcept { return reserve_; }

  /// Damage was met in use: the next start sets the file aside.
  void condemn(const storage::error& e);
  /// This life stood long enough to say that the file does not end it.
  void settled() { starts_.settled(); }

  /// Classes that are no longer configured and still have records here, with their number of batches: kept and counted.
  const std::map<std::string, std::uint64_t>& retired() const noexcept { return retired_; }
  /// What batches take: of each configured class, and of all there are.
  struct usage {
    std::map<std::string, std::uint64_t> by_class;
    std::uint64_t total = 0;
  };
  usage used();
  /// Bytes for new content: free pages of the file, and what it may grow on its disk beyond the reserve.
  std::uint64_t room();

  void load(producer_table& producers, delivery_state& delivery);
  /// What was kept of links and of switches, by name.
  std::map<std::string, v1::LinkRow> links();
  std::map<std::string, v1::JournalRow> journals();
  v1::ExpiryRow expiry();
  std::uint64_t head(const std::string& record_class) const { return heads_.at(record_class); }
  bool has_class(const std::string& record_class) const { return tables_.contains(record_class); }
  const std::map<std::string, std::uint64_t>& heads() const noexcept { return heads_; }

  /// The batch or gap that has seq, or the first one after it; nullopt: none. A batch whose checksum is wrong comes
  /// back without payload, unreadable and with gap_reason GAP_REASON_DAMAGED; its bytes are kept (damaged_batch.hpp).
  std::optional<batch> read_from(const std::string& record_class, std::uint64_t seq);

  /// When the batch that begins at or after seq was stored, CLOCK_REALTIME nanoseconds.
  std::optional<std::int64_t> stored_at(const std::string& record_class, std::uint64_t seq);

  /// One commit. Everything in it happens or nothing does.
  class update {
  public:
    explicit update(batch_file& f);
    /// Assigns the next seqs of the class.
    seq_range append(const std::string& record_class, std::uint32_t count, std::uint32_t crc, std::string_view payload);
    void producer(const std::string& name, const std::string& record_class, std::uint64_t last_seq,
                  const std::string& position);
    void delivered(const std::string& destination, const std::string& record_class,
                   const std::vector<seq_range>& all);
    void link(const std::string& name, const v1::LinkRow& row);
    void journal(const std::string& destination, const v1::JournalRow& row);
    void expiry(const v1::ExpiryRow& row);
    /// Removes the first `most` batches of the range, and of gaps what is within; returns how many it found.
    std::uint64_t remove(const std::string& record_class, seq_range r, std::uint64_t most = UINT64_MAX);
    /// The first batch that begins at or after seq and is no gap.
    struct held_batch {
      seq_range seqs;
      std::uint64_t bytes;
    };
    std::optional<held_batch> next_held(const std::string& record_class, std::uint64_t seq);
    /// A gap of exactly its records takes the place of the batch; gaps side by side become one, with the reason of the
    /// larger. False: the batch stays, for its pages are damaged.
    bool give_up(const std::string& record_class, seq_range held, std::uint32_t reason);
    /// Changes nothing that counts: LMDB gives freed pages back only to the transactions after the next commit.
    void touch();
    /// Nobody has a number of the new epoch; what is held keeps its numbers.
    void renew_epoch();
    usage used() { return file_.used(txn_); }
    std::uint64_t used_bytes(const std::string& record_class);
    void commit();

  private:
    void cut_gap(const std::string& record_class, std::uint64_t at);
    void put_gap(const std::string& record_class, seq_range r, std::uint32_t reason, std::int64_t stored);
    batch_file& file_;
    storage::txn txn_;
    std::map<std::string, std::uint64_t> heads_;
    std::uint64_t epoch_;
    std::int64_t now_;
  };

private:
  struct setting {
    const config::store& store;
    const std::string& gateway;
    const std::vector<config::record_class>& classes;
    const std::vector<config::destination>& destinations;
  };
  void put_aside(const setting& s, const std::string& cause, bool again);
  void open(const setting& s);
  void open_classes(const std::vector<config::record_class>& classes);
  void check_identity(const std::string& gateway);
  usage used(storage::txn& t) const;
  std::uint64_t last_possible(storage::txn& t, storage::cursor& at, const std::string& record_class,
                              std::uint64_t first);

  std::unique_ptr<service::instance_lock> lock_;
  storage::start_marker starts_;
  storage::reserve reserve_;
  std::unique_ptr<storage::environment> env_;
  storage::table meta_ = 0;
  storage::table classes_ = 0;
  storage::table producers_ = 0;
  storage::table delivery_ = 0;
  storage::table links_ = 0;
  storage::table journal_ = 0;
  std::map<std::string, storage::table> tables_;
  std::vector<storage::table> retired_tables_;
  std::map<std::string, std::uint64_t> retired_;
  std::map<std::string, std::uint64_t> heads_;
  std::atomic<std::uint64_t> epoch_{0};
  std::string set_aside_;
  std::string salvaged_;
};

/// The file's bound for a content quota: copy-on-write and deletes need pages beyond the content.
std::uint64_t map_bytes(config::bytes quota);

inline constexpr std::uint32_t store_schema = 2;  // 1: batches without a checksum of their header
inline constexpr const char* store_kind = "holdfast-store";

} // namespace holdfast::store
