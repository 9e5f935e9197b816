#include "services/collector/dump_progress.hpp"

#include "common/render/record_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::collector {

namespace {

constexpr std::size_t ranges_named = 5;

std::string quoted(const std::string& name) {
  std::string text;
  render::append_json_string(text, name);
  return text;
}

} // namespace

void dump_progress::learn(v1::OriginRow row) {
  row_ = std::move(row);
  if (std::exchange(learned_, true))
    return;
  for (auto& r : row_.ranges())
    unread_.insert({r.first(), r.last()});
}

void dump_progress::read(std::uint64_t first, std::uint32_t records) {
  if (records == 0)
    return;
  next = first + records;
  unread_.erase({first, next - 1});
}

std::uint64_t dump_progress::last() const {
  return row_.ranges().empty() ? 0 : row_.ranges(row_.ranges_size() - 1).last();
}

bool dump_progress::has_arrived(seq_range r) const {
  return std::any_of(row_.ranges().begin(), row_.ranges().end(),
                     [&](auto& has) { return has.first() <= r.first && r.last <= has.last(); });
}

std::uint64_t dump_progress::held_beyond() const {
  std::uint64_t records = 0;
  for (auto& r : row_.ranges())
    if (r.last() >= next)
      records += r.last() - std::max<std::uint64_t>(r.first(), next) + 1;
  return records;
}

std::string dump_progress::sum() const {
  std::uint64_t records = 0;
  for (auto& r : row_.ranges())
    records += r.last() - r.first() + 1;
  return fmt::format("{{\"gateway\":{},\"epoch\":\"{:016x}\",\"class\":{},\"records\":{},\"ranges\":{}}}\n",
                     quoted(row_.gateway()), row_.epoch(), quoted(row_.record_class()), records, row_.ranges_size());
}

std::string dump_progress::who() const {
  return fmt::format("gateway {} class {} epoch {:016x}", quoted(row_.gateway()), quoted(row_.record_class()),
                     row_.epoch());
}

std::string dump_progress::unread() const {
  if (unread_.empty())
    return {};
  std::string text = fmt::format("{} records, seq", unread_.count());
  const auto ranges = unread_.ranges();
  for (std::size_t i = 0; i < std::min(ranges.size(), ranges_named); ++i)
    text += fmt::format("{} {} to {}", i == 0 ? "" : ",", ranges[i].first, ranges[i].last);
  return ranges.size() > ranges_named ? text + ", ..." : text;
}

} // namespace holdfast::collector
