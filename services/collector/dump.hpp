#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace holdfast::collector {

struct dump_options {
  std::string directory;
  bool follow = false;         ///< go on with what arrives; in seq order, a hole is waited for (and told)
  bool arrival_order = false;  ///< as the batches came, backlog behind live; else exact seq order per origin
  std::function<bool()> stop;  ///< asked between batches
  std::string gateway;         ///< only this one; empty: all
  std::string stream;          ///< only this one; empty: all
  bool stats_only = false;     ///< a line per origin instead of records
};

/// Takes whole lines; may wait as long as it likes. False: nobody reads any more.
using text_sink = std::function<bool(std::string_view)>;

/// Prints what the collector has as JSON lines (common/render), beside a running collector if there is one; while `out`
/// waits, the archive is not held. Damaged batches, what had arrived when it began and cannot be read, and holes that
/// stay open are named on standard error. One at a time in a process (damage_exit).
/// Returns 0; 1: some records cannot be read; 2: the directory cannot be read, or not which origins it has, or (follow)
/// it is another by now.
int dump(const dump_options& options, const text_sink& out);

} // namespace holdfast::collector
