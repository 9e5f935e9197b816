#pragma once

#include "common/config/config.hpp"
#include "common/service/runtime.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/start_marker.hpp"
#include "services/collector/inbox.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::collector {

/// The collector's LMDB file:
///
///   meta     "store" -> StoreIdentity (kind holdfast-collector)
///   origins  gateway 0x00 epoch class -> OriginRow        what of it is here, and its id
///   batches  arrival number -> stored_batch               in the order of arrival
///   arrivals arrival number -> origin id, first seq        whose it is
///   index    origin id, first seq -> arrival number        the order of the gateways' own numbers
///
/// Batches are only ever appended. One writer; readers (dump) may be other processes.
class archive {
public:
  /// A damaged file is set aside (renamed, never deleted) and an empty archive begun: set_aside() tells. What gateways
  /// have delivered is in that file, for dump to read; what they still hold, they deliver. Throws std::runtime_error:
  /// in use, foreign, unreadable.
  explicit archive(const config::collector& settings);
  ~archive();
  const std::string& set_aside() const noexcept { return set_aside_; }
  /// Damage was met in use: the next start sets the file aside.
  void condemn(const storage::error& e);
  /// This life stood long enough to say that the file does not end it.
  void settled() { starts_.settled(); }

  void load(inbox& into);
  std::uint64_t used_bytes();
  /// A reader (dump) that was killed inside a look would keep freed pages from being used again.
  void forget_dead_readers() { env_->clear_dead_readers(); }

  struct arrival {
    collector::origin origin;
    seq_range seqs;
    std::uint32_t crc = 0;
    std::uint32_t gap_reason = 0;
    bool historical = false;
    std::string_view payload;
  };

  /// Whether exactly this batch is stored: number, extent, checksum.
  bool same(const origin& o, seq_range r, std::uint32_t crc);
  /// The same under another epoch of the gateway: a store that begins a new one keeps the numbers of what it holds.
  bool same_elsewhere(const origin& o, seq_range r, std::uint32_t crc);

  /// One commit: the batches, and what is then there of each origin (`after`). Throws storage::error; then nothing
  /// happened.
  void append(const std::vector<arrival>& arrivals, const inbox& after);

private:
  void open(const config::collector& settings);
  void check_identity(const std::string& directory);
  bool same(storage::txn& t, std::uint64_t id, seq_range r, std::uint32_t crc);
  struct known_origin {
    std::uint64_t id;
    std::string key;
  };

  std::unique_ptr<service::instance_lock> lock_;
  storage::start_marker starts_;
  std::unique_ptr<storage::environment> env_;
  storage::table meta_ = 0;
  storage::table origins_ = 0;
  storage::table batches_ = 0;
  storage::table arrivals_ = 0;
  storage::table index_ = 0;
  std::string set_aside_;
  std::map<origin, known_origin> known_;
  std::uint64_t last_origin_ = 0;
  std::uint64_t last_arrival_ = 0;
};

inline constexpr const char* archive_kind = "holdfast-collector";
inline constexpr std::uint32_t archive_schema = 2;  // 1: batches without a checksum of their header

} // namespace holdfast::collector
