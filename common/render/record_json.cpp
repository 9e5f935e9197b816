#include "common/render/record_json.hpp"

#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace holdfast::render {

namespace {

constexpr std::int64_t nanos_per_second = 1'000'000'000;
constexpr std::size_t second_digits = 20;  // "2026-11-22T15:09:10."

template <class T>
void append_number(std::string& out, T value) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void append_double(std::string& out, double value) {
  if (std::isfinite(value))
    append_number(out, value);
  else
    out += std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

void append_hex(std::string& out, std::uint64_t value) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4)
    out += digits[value >> shift & 15];
}

void append_gap(std::string& out, std::uint64_t count, int reason) {
  out += "{\"count\":";
  append_number(out, count);
  out += ",\"reason\":\"";
  out += gap_reason_text(reason);
  out += "\"}";
}

void append_json_value(std::string& out, const v1::Record& r) {
  switch (r.value_case()) {
    case v1::Record::kNumber: out += ",\"value\":"; return append_double(out, r.number());
    case v1::Record::kInteger: out += ",\"value\":"; return append_number(out, r.integer());
    case v1::Record::kUnsignedInteger: out += ",\"value\":"; return append_number(out, r.unsigned_integer());
    case v1::Record::kBoolean: out += r.boolean() ? ",\"value\":true" : ",\"value\":false"; return;
    case v1::Record::kText: out += ",\"text\":"; return append_json_string(out, r.text());
    case v1::Record::kData:
      out += ",\"data\":\"";
      append_base64(out, r.data());
      out += '"';
      return;
    case v1::Record::kGap: out += ",\"gap\":"; return append_gap(out, r.gap().count(), r.gap().reason());
    case v1::Record::VALUE_NOT_SET: out += ",\"value\":null"; return;
  }
}

bool printable(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

void append_human_value(std::string& out, const v1::Record& r) {
  switch (r.value_case()) {
    case v1::Record::kNumber: return append_double(out, r.number());
    case v1::Record::kInteger: return append_number(out, r.integer());
    case v1::Record::kUnsignedInteger: return append_number(out, r.unsigned_integer());
    case v1::Record::kBoolean: out += r.boolean() ? "true" : "false"; return;
    case v1::Record::kText: return append_json_string(out, r.text());
    case v1::Record::kData:
      if (printable(r.data()))
        return append_json_string(out, r.data());
      out += "base64:";
      return append_base64(out, r.data());
    case v1::Record::kGap:
      out += "gap of ";
      append_number(out, r.gap().count());
      out += " (";
      out += gap_reason_text(r.gap().reason());
      out += ')';
      return;
    case v1::Record::VALUE_NOT_SET: out += '-'; return;
  }
}

std::string_view quality_text(int quality) {
  switch (quality) {
    case v1::QUALITY_UNSPECIFIED: return "";
    case v1::QUALITY_UNCERTAIN: return "uncertain";
    case v1::QUALITY_BAD: return "bad";
    default: return "unknown";
  }
}

// A sender's nonsense must not become undefined behaviour here: beyond the range it sticks to the end.
std::int64_t saturated_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum))
    return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

std::string json_head(const v1::RecordPlace& place, const std::string* stream) {
  std::string head = "{\"gateway\":";
  append_json_string(head, place.gateway());
  head += ",\"stream\":";
  if (stream != nullptr)
    append_json_string(head, *stream);
  else
    head += "null";
  head += ",\"class\":";
  append_json_string(head, place.record_class());
  return head += ",\"seq\":";
}

} // namespace

batch_lines::batch_lines(const v1::RecordPlace& place, const v1::Batch& batch)
    : place_(place), batch_(batch), headless_(json_head(place, nullptr)), tail_(",\"epoch\":\""),
      second_(std::numeric_limits<std::int64_t>::max()) {
  heads_.reserve(static_cast<std::size_t>(batch.streams_size()));
  for (auto& stream : batch.streams())
    heads_.push_back(json_head(place, &stream));
  append_hex(tail_, place.epoch());
  tail_ += "\"}\n";
  clock_ = batch.clock_quality() == v1::CLOCK_QUALITY_SYNCHRONISED ? "\",\"clock\":\"synchronised\""
                                                                   : "\",\"clock\":\"unsynchronised\"";
}

// Records of one batch mostly share their second: only its first one pays for the calendar.
void batch_lines::append_time(std::string& out, const v1::Record& record) {
  const auto nanos = saturated_sum(batch_.base_unix_nanos(), record.time_offset_nanos());
  auto fraction = nanos % nanos_per_second;
  const auto second = nanos / nanos_per_second - (fraction < 0 ? 1 : 0);
  fraction += fraction < 0 ? nanos_per_second : 0;
  if (second != second_) {
    second_ = second;
    second_text_.clear();
    render::append_time(second_text_, nanos);
    second_text_.resize(second_digits);
  }
  char digits[] = "000000000Z";
  for (int i = 8; i >= 0; --i, fraction /= 10)
    digits[i] = static_cast<char>('0' + fraction % 10);
  out += second_text_;
  out.append(digits, sizeof digits - 1);
}

void batch_lines::append_json(std::string& out, int index) {
  const auto& record = batch_.records(index);
  out += record.stream() < heads_.size() ? heads_[record.stream()] : headless_;
  append_number(out, place_.first_seq() + static_cast<std::uint64_t>(index));
  out += ",\"time\":\"";
  append_time(out, record);
  out += clock_;
  if (record.quality() != v1::QUALITY_UNSPECIFIED) {
    out += ",\"quality\":\"";
    out += quality_text(record.quality());
    out += '"';
  }
  append_json_value(out, record);
  out += tail_;
}

void batch_lines::append_human(std::string& out, int index) {
  const auto& record = batch_.records(index);
  append_time(out, record);
  out += "  ";
  out += place_.record_class();
  out += " #";
  append_number(out, place_.first_seq() + static_cast<std::uint64_t>(index));
  out += "  ";
  out += record.stream() < heads_.size() ? batch_.streams(static_cast<int>(record.stream())) : std::string("?");
  out += "  ";
  append_human_value(out, record);
  if (record.quality() != v1::QUALITY_UNSPECIFIED) {
    out += "  [";
    out += quality_text(record.quality());
    out += ']';
  }
  if (batch_.clock_quality() != v1::CLOCK_QUALITY_SYNCHRONISED)
    out += "  [clock unsynchronised]";
  out += '\n';
}

void append_json_lines(std::string& out, const v1::RecordPlace& place, const v1::Batch& batch) {
  batch_lines lines(place, batch);
  for (int i = 0; i < batch.records_size(); ++i)
    lines.append_json(out, i);
}

void append_human_lines(std::string& out, const v1::RecordPlace& place, const v1::Batch& batch) {
  batch_lines lines(place, batch);
  for (int i = 0; i < batch.records_size(); ++i)
    lines.append_human(out, i);
}

void append_json_gap(std::string& out, const v1::RecordPlace& place, std::uint64_t count, int reason) {
  out += "{\"gateway\":";
  append_json_string(out, place.gateway());
  out += ",\"class\":";
  append_json_string(out, place.record_class());
  out += ",\"seq\":";
  append_number(out, place.first_seq());
  out += ",\"gap\":";
  append_gap(out, count, reason);
  out += ",\"epoch\":\"";
  append_hex(out, place.epoch());
  out += "\"}\n";
}

std::string_view gap_reason_text(int reason) {
  switch (reason) {
    case v1::GAP_REASON_UNSPECIFIED: return "unspecified";
    case v1::GAP_REASON_OVERFLOW: return "overflow";
    case v1::GAP_REASON_OVERSIZE: return "oversize";
    case v1::GAP_REASON_EXPIRED: return "expired";
    case v1::GAP_REASON_DISPLACED: return "displaced";
    case v1::GAP_REASON_DAMAGED: return "damaged";
    case v1::GAP_REASON_SOURCE_FAILED: return "source_failed";
    case v1::GAP_REASON_CONFIRMED_BEFORE: return "confirmed_before";
    case v1::GAP_REASON_NOT_HELD: return "not_held";
    default: return "unknown";
  }
}

} // namespace holdfast::render
