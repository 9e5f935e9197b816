#include "services/acquisition/batch_builder.hpp"

#include "holdfast/v1/record.pb.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstdlib>

namespace holdfast::acquisition {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

constexpr std::int64_t clock_tolerance_nanos = 2'000'000;

// A serialised message is the concatenation of its fields in any order, so a batch can be encoded as it grows.
constexpr std::uint32_t length_tag(int field) {
  return (static_cast<std::uint32_t>(field) << 3) | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
}
constexpr std::uint32_t varint_tag(int field) {
  return (static_cast<std::uint32_t>(field) << 3) | WireFormatLite::WIRETYPE_VARINT;
}

void append_varint(std::string& out, std::uint64_t v) {
  std::uint8_t buffer[10];
  const auto* end = CodedOutputStream::WriteVarint64ToArray(v, buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(end - buffer));
}

void append_message(std::string& out, int field, const google::protobuf::MessageLite& m) {
  append_varint(out, length_tag(field));
  append_varint(out, m.ByteSizeLong());
  m.AppendToString(&out);
}

} // namespace

batch_builder::batch_builder(std::string boot_id, std::size_t expected_bytes)
    : boot_id_(std::move(boot_id)), expected_bytes_(expected_bytes) {}

bool batch_builder::fits(const timestamp& at, bool synchronised) const {
  if (empty())
    return true;
  const auto step = (at.unix_nanos - at.monotonic_nanos) - (base_.unix_nanos - base_.monotonic_nanos);
  return synchronised == synchronised_ && std::abs(step) < clock_tolerance_nanos;
}

void batch_builder::begin(const timestamp& at, bool synchronised) {
  base_ = at;
  synchronised_ = synchronised;
  streams_.clear();
  payload_.clear();
  payload_.reserve(expected_bytes_);
  v1::Batch head;
  head.set_base_unix_nanos(at.unix_nanos);
  head.set_base_monotonic_nanos(at.monotonic_nanos);
  head.set_boot_id(boot_id_);
  head.set_clock_quality(synchronised ? v1::CLOCK_QUALITY_SYNCHRONISED : v1::CLOCK_QUALITY_UNSYNCHRONISED);
  head.AppendToString(&payload_);
}

std::uint32_t batch_builder::stream_index(std::string_view name) {
  // Polled devices come round in the same order; a short list is searched faster than a map is kept.
  auto it = std::find(streams_.begin(), streams_.end(), name);
  const auto index = static_cast<std::uint32_t>(it - streams_.begin());
  if (it == streams_.end()) {
    streams_.emplace_back(name);
    append_varint(payload_, length_tag(v1::Batch::kStreamsFieldNumber));
    append_varint(payload_, name.size());
    payload_.append(name);
  }
  return index;
}

// The record that crosses a batch's size may be long. The string would double its room for it; the batch is full then.
void batch_builder::make_room(std::size_t more) {
  if (payload_.capacity() - payload_.size() >= more)
    return;
  std::string larger;
  larger.reserve(payload_.size() + more);
  larger.append(payload_);
  payload_ = std::move(larger);
}

// The hot path, half a million times a second: written field by field; the test compares it with the generated classes.
void batch_builder::add_frame(std::string_view stream, const timestamp& at, bool synchronised, std::string_view bytes) {
  if (empty())
    begin(at, synchronised);
  const auto index = stream_index(stream);
  std::uint8_t head[48];
  auto* p = head;
  if (index != 0) {
    p = CodedOutputStream::WriteTagToArray(varint_tag(v1::Record::kStreamFieldNumber), p);
    p = CodedOutputStream::WriteVarint32ToArray(index, p);
  }
  if (const auto offset = at.monotonic_nanos - base_.monotonic_nanos; offset != 0) {
    p = CodedOutputStream::WriteTagToArray(varint_tag(v1::Record::kTimeOffsetNanosFieldNumber), p);
    p = CodedOutputStream::WriteVarint64ToArray(WireFormatLite::ZigZagEncode64(offset), p);
  }
  p = CodedOutputStream::WriteTagToArray(length_tag(v1::Record::kDataFieldNumber), p);
  p = CodedOutputStream::WriteVarint64ToArray(bytes.size(), p);
  const auto head_size = static_cast<std::size_t>(p - head);
  make_room(sizeof head + bytes.size());
  append_varint(payload_, length_tag(v1::Batch::kRecordsFieldNumber));
  append_varint(payload_, head_size + bytes.size());
  payload_.append(reinterpret_cast<const char*>(head), head_size);
  payload_.append(bytes);
  ++records_;
}

void batch_builder::add_sample(const sample& s, bool synchronised) {
  if (empty())
    begin(s.time, synchronised);
  v1::Record r;
  r.set_stream(stream_index(s.stream));
  r.set_time_offset_nanos(s.time.monotonic_nanos - base_.monotonic_nanos);
  if (s.quality == quality::bad)
    r.set_quality(v1::QUALITY_BAD);
  else if (s.quality == quality::uncertain)
    r.set_quality(v1::QUALITY_UNCERTAIN);
  struct put {
    v1::Record& r;
    void operator()(std::monostate) const {}
    void operator()(double v) const { r.set_number(v); }
    void operator()(std::int64_t v) const { r.set_integer(v); }
    void operator()(std::uint64_t v) const { r.set_unsigned_integer(v); }
    void operator()(bool v) const { r.set_boolean(v); }
    void operator()(const std::string& v) const { r.set_text(v); }
  };
  std::visit(put{r}, s.value);
  append_message(payload_, v1::Batch::kRecordsFieldNumber, r);
  ++records_;
}

void batch_builder::add_gap(std::string_view stream, const timestamp& at, bool synchronised, std::uint64_t count,
                            gap_reason why) {
  if (empty())
    begin(at, synchronised);
  v1::Record r;
  r.set_stream(stream_index(stream));
  r.set_time_offset_nanos(at.monotonic_nanos - base_.monotonic_nanos);
  r.mutable_gap()->set_count(count);
  r.mutable_gap()->set_reason(static_cast<v1::GapReason>(why));
  append_message(payload_, v1::Batch::kRecordsFieldNumber, r);
  ++records_;
}

// A batch may be kept for as long as the store is away, and the window counts its bytes, not its room: a quarter more
// is the most it may hold. A full one is within that and goes as it is; at full speed nothing is copied.
encoded_batch batch_builder::take() {
  if (payload_.capacity() > payload_.size() + payload_.size() / 4)
    payload_.shrink_to_fit();
  encoded_batch out{std::move(payload_), records_};
  payload_ = {};
  records_ = 0;
  return out;
}

} // namespace holdfast::acquisition
