// Rows beside the batches in the files of store and collector: understood or refused.

#include "common/storage/row.hpp"
#include "holdfast/v1/storage.pb.h"
#include "tests/fuzz/fuzz.hpp"

using namespace holdfast;
using namespace holdfast::fuzz;

namespace {

template <class Row> void round(std::string_view bytes) {
  Row row;
  if (!storage::unseal("table", "key", bytes, row))
    return;
  Row again;
  const auto written = storage::seal("table", "key", row);
  claim(storage::unseal("table", "key", written, again), "what is written is believed");
  claim(again.SerializeAsString() == row.SerializeAsString(), "what is written is read");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const auto kind = in.number(7);
  const auto bytes = in.rest();
  switch (kind) {
    case 0: round<v1::StoreIdentity>(bytes); break;
    case 1: round<v1::ProducerRow>(bytes); break;
    case 2: round<v1::ClassRow>(bytes); break;
    case 3: round<v1::DeliveryRow>(bytes); break;
    case 4: round<v1::LinkRow>(bytes); break;
    case 5: round<v1::JournalRow>(bytes); break;
    default: round<v1::OriginRow>(bytes); break;
  }
  return 0;
}
