#include "services/store/row_types.hpp"

#include "holdfast/v1/storage.pb.h"

namespace holdfast::store {

std::unique_ptr<google::protobuf::Message> row_of(std::string_view table, std::string_view key) {
  if (table == "classes")
    return std::make_unique<v1::ClassRow>();
  if (table == "producers")
    return std::make_unique<v1::ProducerRow>();
  if (table == "delivery")
    return std::make_unique<v1::DeliveryRow>();
  if (table == "links")
    return std::make_unique<v1::LinkRow>();
  if (table == "journal")
    return std::make_unique<v1::JournalRow>();
  if (key == "store")
    return std::make_unique<v1::StoreIdentity>();
  if (key == "expiry")
    return std::make_unique<v1::ExpiryRow>();
  return nullptr;
}

} // namespace holdfast::store
