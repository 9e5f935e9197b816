#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace holdfast::store {

/// Which batch of which producer may be stored next (design contract 2). Pure; the rows themselves are in LMDB, written
/// in the transaction that stores the batches.
class producer_table {
public:
  struct row {
    std::string record_class;
    std::uint64_t committed = 0;  ///< highest producer seq on disk
    std::string position;         ///< committed with it
    std::uint64_t session = 0;    ///< 0: nobody said hello in this life of the store
    std::uint64_t taken = 0;      ///< highest producer seq accepted, perhaps not committed yet
    std::string peer;             ///< where answers go
  };

  enum class verdict { accept, duplicate, out_of_order, unknown_session };

  static constexpr std::size_t most = 10000;

  /// May another one with this name come? Whoever has nothing on disk gives way for that, and says hello again.
  bool room_for(const std::string& producer);
  /// A row of the file.
  void load(const std::string& producer, row r);
  /// Opens a session or asks again. Nothing of the producer may be taken but uncommitted.
  const row& hello(const std::string& producer, std::uint64_t session, const std::string& record_class,
                   const std::string& peer);
  /// Accepting counts it as taken.
  verdict offer(const std::string& producer, std::uint64_t session, std::uint64_t seq);
  /// What was taken up to seq is on disk.
  void committed(const std::string& producer, std::uint64_t seq, const std::string& position);
  /// What was taken and not committed is forgotten; producers will send it again.
  void roll_back();

  const row* find(const std::string& producer) const;
  const std::map<std::string, row>& rows() const noexcept { return rows_; }

private:
  std::map<std::string, row> rows_;
};

} // namespace holdfast::store
