#pragma once

#include "common/core/range_set.hpp"

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace holdfast::store {

struct salvage_options {
  std::string file;                     ///< data.mdb of a store that is not running, or one that was set aside
  std::string into{};                   ///< a directory without data.mdb for what can be read; empty: only look
  std::string gateway{};                ///< of `into`, where the file's own name cannot be read
  /// Class -> the destinations that want it, as configured: what they confirmed counts, or that they confirmed nothing.
  /// Of a class that is not here all that ever confirmed any of it count.
  std::map<std::string, std::set<std::string>> wanted{};
  std::function<bool()> stop{};         ///< true: it takes too long
  /// The same of looking for a list of tables, so that time is left to read what that leads to; empty: as `stop`.
  std::function<bool()> stop_looking{};
  bool rows_only = false;               ///< no batches, for a store in which numbers begin again
};

/// What could be read of a store's file, and what not.
struct salvaged {
  struct lane {
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
    std::uint64_t gap_records = 0;        ///< gave way earlier, by the class's policy
    std::uint64_t head = 0;
    std::vector<seq_range> held{};        ///< both
    std::vector<seq_range> lost{};        ///< not here, and not every destination has confirmed them
    std::vector<seq_range> doubtful{};    ///< not here, and what was confirmed cannot be read
  };
  std::map<std::string, lane> classes{};
  std::vector<std::string> problems{};    ///< with the rows beside the batches; a line each
  std::uint64_t producers = 0;            ///< whose batches are known up to a number
  bool finished = false;                  ///< not stopped

  bool complete() const;
  std::uint64_t records() const;
  /// One line: per class what is held, lost, doubtful.
  std::string text() const;
};

/// Reads all that can be read of a store's file, page by page and without LMDB (raw_file.hpp), so that no damage can
/// end or occupy the process. The file is never changed.
///
/// `into` becomes a store of its own that can be run: the batches under their numbers, in an epoch of its own, so that
/// numbers it gives next never meet the old ones, while each batch is compared with what the destination has under the
/// old epoch (delivery_lane.hpp); what is lost as gaps; the rows that are sound. Throws storage::error: the file cannot
/// be opened, or `into` not be written; then nothing of it counts.
salvaged salvage(const salvage_options& o);

/// How many starts in a row have begun to salvage this store's file and did not live to its end, as
/// <directory>/salvages counts them. Never throws: where it cannot be written, nothing is remembered.
class salvage_tries {
public:
  static constexpr unsigned most_tries = 2;  ///< one may be a power cut; a limit of time that is passed is so each time

  explicit salvage_tries(const std::string& directory);
  /// Counts this start. False: there were too many, and only the rows are to be taken.
  bool begin() const;
  /// A file was opened that is not damaged.
  void forget() const;

private:
  std::string path_;
  unsigned begun_ = 0;
};

/// At a start: salvages into o.into. Where that is stopped or has no room, or o.rows_only, only the rows of producers,
/// links and switches go there: a producer that nobody knows would send again what lies in the file.
struct taken_over {
  bool kept = false;   ///< o.into is a store to go on with
  std::string text{};  ///< what is in it
};
taken_over take_over(const salvage_options& o);

/// For holdfastctl. 0: nothing is missing, 1: something is, 2: it could not be done.
int salvage(const std::string& file, const std::string& into, std::ostream& out);

} // namespace holdfast::store
