// A stored batch and the batch in it, as the store takes and reads them and as the collector's dump prints them.

#include "common/render/record_json.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"
#include "services/store/batch_check.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

using namespace holdfast;
using namespace holdfast::fuzz;

namespace {

void print(const v1::Batch& batch) {
  v1::RecordPlace place;
  place.set_gateway("g\"1");
  place.set_record_class("telemetry");
  place.set_first_seq(7);
  std::string lines;
  render::append_json_lines(lines, place, batch);
  claim(std::count(lines.begin(), lines.end(), '\n') == batch.records_size(), "a line for each record");
  for (std::size_t at = 0; at < lines.size();) {
    const auto end = lines.find('\n', at);
    claim(nlohmann::json::accept(lines.begin() + static_cast<std::ptrdiff_t>(at),
                                 lines.begin() + static_cast<std::ptrdiff_t>(end)), "each line is JSON");
    at = end + 1;
  }
  render::append_human_lines(lines, place, batch);
}

void take(std::string_view payload) {
  const auto counted = store::count_records(payload);
  v1::Batch batch;
  if (!batch.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
    return;
  claim(!counted || *counted == static_cast<std::uint64_t>(batch.records_size()),
        "records are counted as they are read");
  print(batch);
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  take(text);
  const storage::batch_place at{"telemetry", "12345678"};
  const auto b = storage::stored_batch::decode(text, at);
  if (!b)
    return 0;
  b->intact();
  std::string again(b->encoded_bytes(), '\0');
  b->encode(again.data(), at);
  const auto back = storage::stored_batch::decode(again, at);
  claim(back && back->payload == b->payload && back->crc == b->crc && back->record_count == b->record_count
          && back->gap_reason == b->gap_reason && back->historical == b->historical
          && back->stored_unix_nanos == b->stored_unix_nanos, "what is stored is read");
  take(b->payload);
  return 0;
}
