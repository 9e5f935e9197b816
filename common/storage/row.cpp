#include "common/storage/row.hpp"

#include "common/core/crc32c.hpp"
#include "common/storage/lmdb.hpp"

#include <fmt/format.h>
#include <google/protobuf/message.h>
#include <lmdb.h>

#include <cstdint>
#include <endian.h>
#include <memory>

namespace holdfast::storage {

namespace {

constexpr int checksum_field = 15;
constexpr char checksum_tag = (checksum_field << 3) | 5;  // four bytes
constexpr std::size_t checksum_bytes = 5;

std::uint32_t checksum(std::string_view table, std::string_view key, std::string_view row) {
  std::string all(table);
  ((all += '\0') += key) += '\0';
  return crc32c(all += row);
}

} // namespace

std::string seal(std::string_view table, std::string_view key, const google::protobuf::Message& row) {
  auto plain = std::unique_ptr<google::protobuf::Message>(row.New());
  plain->CopyFrom(row);
  plain->GetReflection()->ClearField(plain.get(), plain->GetDescriptor()->FindFieldByNumber(checksum_field));
  auto bytes = plain->SerializeAsString();
  const auto sum = htole32(checksum(table, key, bytes));
  bytes += checksum_tag;
  return bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
}

bool unseal(std::string_view table, std::string_view key, std::string_view bytes, google::protobuf::Message& row) {
  if (bytes.size() > INT32_MAX || !row.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return false;
  const auto* field = row.GetDescriptor()->FindFieldByNumber(checksum_field);
  if (!row.GetReflection()->HasField(row, field))
    return true;
  const auto told = row.GetReflection()->GetUInt32(row, field);
  row.GetReflection()->ClearField(&row, field);
  return bytes.size() >= checksum_bytes && bytes[bytes.size() - checksum_bytes] == checksum_tag
         && told == checksum(table, key, bytes.substr(0, bytes.size() - checksum_bytes));
}

void parse(std::string_view table, std::string_view key, std::string_view bytes, google::protobuf::Message& row) {
  if (!unseal(table, key, bytes, row))
    throw error(MDB_CORRUPTED, fmt::format("failed to read a row of {}: it is not what was written", table));
}

} // namespace holdfast::storage
