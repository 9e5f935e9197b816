#include "services/acquisition/recorder.hpp"

#include <utility>

namespace holdfast::acquisition {

namespace {
constexpr std::size_t head_room = 4096;  // of a batch above its size limit: the record that crosses it
} // namespace

recorder::recorder(const config::source& settings, std::string boot_id)
    : stream_(settings.stream), max_records_(settings.batch.records), max_bytes_(settings.batch.size.count),
      builder_(std::move(boot_id), max_bytes_ + head_room) {}

bool recorder::admit(const std::string& stream, bool room) {
  if (!room) {
    ++gaps_[{stream, gap_reason::overflow}];
    ++counters_.dropped;
  }
  return room;
}

void recorder::tell_gaps(const timestamp& at) {
  if (gaps_.empty())
    return;
  for (auto& [gap, missing] : std::exchange(gaps_, {}))
    builder_.add_gap(gap.first, at, synchronised_, missing, gap.second);
}

void recorder::frame(const timestamp& at, std::string_view bytes, bool room) {
  if (!admit(stream_, room))
    return;
  tell_gaps(at);
  builder_.add_frame(stream_, at, synchronised_, bytes);
  ++counters_.records;
  counters_.bytes += bytes.size();
}

void recorder::value(const sample& s, bool room) {
  if (!admit(s.stream, room))
    return;
  tell_gaps(s.time);
  builder_.add_sample(s, synchronised_);
  ++counters_.records;
}

void recorder::oversize(const timestamp& at, bool room) {
  ++counters_.oversize;
  ++gaps_[{stream_, gap_reason::oversize}];
  if (room)
    tell_gaps(at);
}

} // namespace holdfast::acquisition
