#pragma once

// Stored batches as lines for people and programs: `holdfastctl tap --records` and `collector dump` print the same.
//
// One JSON object per record and line, keys in this order:
//   gateway  stream  class  seq
//   time     source time, ISO 8601 UTC with nanoseconds: "2026-11-22T15:09:10.000000001Z"
//   clock    "synchronised" or "unsynchronised" (also when the batch does not say)
//   quality  "uncertain" or "bad"; absent: good
//   value    a number, true or false; NaN and the infinities as the strings "NaN", "Infinity" and "-Infinity", as in
//            Protobuf's JSON; null when the record carries nothing
//            or text  a string; bytes that are not UTF-8 become U+FFFD
//            or data  the bytes, base64 (RFC 4648, padded)
//            or gap   {"count": records missing, "reason": "overflow", ...}
//   epoch    of the store that numbered the record: 16 hexadecimal digits
// Integers are written in full, beyond the 53 bits that some readers keep. A record whose stream is not in its batch's
// table has "stream": null.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::v1 {
class Batch;
class Record;
class RecordPlace;
}

namespace holdfast::render {

/// All records of a batch, each line ended by a newline. The record at index i has seq place.first_seq + i.
void append_json_lines(std::string& out, const v1::RecordPlace& place, const v1::Batch& batch);

/// The same for people: "time  class #seq  stream  value  [quality] [clock]". Bytes that are printable are shown as
/// quoted text, others as base64:...
void append_human_lines(std::string& out, const v1::RecordPlace& place, const v1::Batch& batch);

/// A range of seq that the store dropped as a whole and that has no batch (Dispatch.gap_reason): one line with gateway,
/// class, seq (the first), gap and epoch. `reason` is a v1::GapReason.
void append_json_gap(std::string& out, const v1::RecordPlace& place, std::uint64_t count, int reason);

/// Record by record, for readers that leave some out. Place and batch must outlive it. Not for several threads.
class batch_lines {
public:
  batch_lines(const v1::RecordPlace& place, const v1::Batch& batch);
  void append_json(std::string& out, int index);
  void append_human(std::string& out, int index);

private:
  void append_time(std::string& out, const v1::Record& record);

  const v1::RecordPlace& place_;
  const v1::Batch& batch_;
  std::vector<std::string> heads_;   // per stream: {"gateway":"..","stream":"..","class":"..","seq":
  std::string headless_;             // for records without a stream
  std::string tail_;                 // ,"epoch":".."}
  std::string clock_;                // the time's closing quote and ,"clock":".."
  std::int64_t second_;              // that second_text_ stands for
  std::string second_text_;          // "2026-11-22T15:09:10."
};

// -- pieces -----------------------------------------------------------------------------------------------------------

/// A JSON string with its quotes; what is not UTF-8 becomes U+FFFD, byte by byte.
void append_json_string(std::string& out, std::string_view text);
void append_base64(std::string& out, std::string_view bytes);
/// "2026-11-22T15:09:10.000000001Z"
void append_time(std::string& out, std::int64_t unix_nanos);
/// "overflow", "expired", ...; "unknown" for reasons this build does not know.
std::string_view gap_reason_text(int reason);

} // namespace holdfast::render
