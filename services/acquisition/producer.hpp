#pragma once

#include "common/core/blob.hpp"
#include "common/core/greeting.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::acquisition {

/// The producer's half of messages/holdfast/v1/ingest.proto (design contracts 1 and 2): keeps every batch until the
/// store has it on disk, sends what the window allows, starts over from what the store says it has. Pure: events in,
/// actions out, time passed in.
class producer {
public:
  using clock = std::chrono::steady_clock;

  struct batch {
    std::uint64_t seq = 0;       ///< 0: not sent yet
    std::uint32_t records = 0;
    std::uint32_t crc = 0;
    std::uint64_t total = 0;     ///< records of this producer up to and with this batch: its position
    blob payload;
  };

  struct actions {
    bool hello = false;
    std::vector<batch> send;     ///< in this order
  };

  /// What a kept batch takes beside its payload: its entry, the payload's owner, what the allocator adds. Without it
  /// a slow device's batches of few bytes would take several times the limit.
  static constexpr std::uint64_t beside = 512;

  /// `limit_bytes`: own bound of what is kept, whatever window the store grants.
  explicit producer(std::uint64_t limit_bytes) : limit_(limit_bytes) {}

  /// The bus is connected to the store, or lost it.
  actions reachable(bool yes, clock::time_point now);
  /// One answer opens; those to further hellos of the same greeting say nothing new.
  actions welcomed(std::uint64_t last_seq, std::uint64_t total, std::uint64_t window, clock::time_point now);
  actions acknowledged(std::uint64_t last_seq, std::uint64_t window, clock::time_point now);
  /// The store does not know this session, or wants an earlier number.
  actions refused(clock::time_point now);
  /// The store will never take this one (oversize): it is dropped, its records are returned.
  std::uint32_t rejected(std::uint64_t seq);
  actions push(std::uint32_t records, std::uint32_t crc, blob payload, clock::time_point now);
  actions tick(clock::time_point now);
  /// After a hello: when a tick may bring the next one.
  std::chrono::milliseconds hello_wait() const { return greeting_.wait(); }

  bool room() const noexcept { return kept_bytes_ < limit_; }
  /// Everything given is on disk.
  bool settled() const noexcept { return kept_.empty(); }
  bool open() const noexcept { return open_; }
  /// Records of this producer on disk, over all its lives. Known once open.
  std::uint64_t total_committed() const noexcept { return committed_total_; }
  /// As they count for the limit.
  std::uint64_t kept_bytes() const noexcept { return kept_bytes_; }
  /// Largest number of records that were read and not on disk; a kill costs at most these.
  std::uint64_t kept_records() const noexcept;

private:
  actions greet(clock::time_point now);
  actions fill(clock::time_point now);
  void forget(std::uint64_t last_seq);
  static std::uint64_t counts(const batch& b) noexcept { return b.payload.size() + beside; }

  std::uint64_t limit_;
  std::deque<batch> kept_;        // sent ones first, in order
  std::size_t sent_ = 0;          // how many of them are sent
  std::uint64_t kept_bytes_ = 0;
  std::uint64_t in_flight_ = 0;   // bytes
  std::uint64_t window_ = 0;
  std::uint64_t next_seq_ = 1;
  std::uint64_t total_ = 0;       // with everything kept
  std::uint64_t committed_total_ = 0;
  bool reachable_ = false;
  bool open_ = false;             // welcomed in this connection
  bool known_ = false;            // welcomed ever: numbers and totals are right
  greeting greeting_;
  clock::time_point last_word_{}; // of the store
};

} // namespace holdfast::acquisition
