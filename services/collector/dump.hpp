#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace holdfast::collector {

struct dump_options {
  std::string directory;
  bool follow = false;         ///< go on with what arrives; in seq order, a hole is waited for
  bool arrival_order = false;  ///< as the batches came, backlog behind live; else exact seq order per origin
  std::function<bool()> stop;  ///< asked between batches
  std::string gateway;         ///< only this one; empty: all
  std::string stream;          ///< only this one; empty: all
  bool stats_only = false;     ///< a line per origin instead of records
};

/// Prints what the collector has as JSON lines (common/render), beside a running collector if there is one.
/// Returns 0; 1: a damaged batch was met (and named on standard error); 2: the directory cannot be read.
int dump(const dump_options& options, std::ostream& out);

} // namespace holdfast::collector
