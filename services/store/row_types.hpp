#pragma once

#include <array>
#include <memory>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace holdfast::store {

/// The tables beside the batches.
inline constexpr std::array row_tables{"meta", "classes", "producers", "delivery", "links", "journal"};

/// An empty row as the table has it under that key; nullptr: there is none, such as of the marks in "meta".
std::unique_ptr<google::protobuf::Message> row_of(std::string_view table, std::string_view key);

} // namespace holdfast::store
