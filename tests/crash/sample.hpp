#pragma once

#include "common/config/config.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::crash {

/// What is in a store or an archive before it is damaged: each record can be told from what never was one.
inline constexpr std::uint32_t records_each = 3;  // of a batch

const std::vector<config::record_class>& classes();
/// Of the batch of this number.
std::string payload(std::uint64_t number);
/// Of the payload that is stored from this seq on.
std::uint32_t crc_at(const std::string& record_class, std::uint64_t seq);

/// A store with a backlog, or an archive; sound.
void make_store(const std::string& directory);
void make_archive(const std::string& directory);

} // namespace holdfast::crash
