#pragma once

#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace holdfast::storage {

/// A row beside the batches (storage.proto), as it is written: with the CRC-32C of its table, its key and itself in its
/// last field. A bit that flips in it could give numbers again, or call records confirmed that are not.
std::string seal(std::string_view table, std::string_view key, const google::protobuf::Message& row);

/// Whether `row` is what was written there. One without a checksum is an earlier release's, and is believed.
bool unseal(std::string_view table, std::string_view key, std::string_view bytes, google::protobuf::Message& row);

/// The same; throws storage::error where it is not: the disk has changed the file.
void parse(std::string_view table, std::string_view key, std::string_view bytes, google::protobuf::Message& row);

template <class Row> Row parse(std::string_view table, std::string_view key, std::string_view bytes) {
  Row row;
  parse(table, key, bytes, row);
  return row;
}

} // namespace holdfast::storage
