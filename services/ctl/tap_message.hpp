#pragma once

// The tap's pure parts: what was lost, and what a payload says.

#include "holdfast/v1/envelope.pb.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace holdfast::ctl {

/// Counts the holes in the numbers of each (instance, incarnation, topic). The first message of each sets the start, so
/// that joining late is no loss, and neither is a publisher's restart.
class gap_counter {
public:
  /// Messages lost directly before this one.
  std::uint64_t take(const v1::Envelope& envelope, std::string_view topic);
  std::uint64_t total() const noexcept { return total_; }

private:
  using key = std::tuple<std::string, std::string>;  // instance, topic
  struct position {
    std::uint64_t incarnation = 0;
    std::uint64_t seq = 0;
  };
  std::map<key, position> seen_;
  std::uint64_t total_ = 0;
};

/// Payloads as JSON by their descriptors alone: a type that this program was not built with is read all the same when
/// its descriptor file is given.
class payload_reader {
public:
  /// Knows the messages of a FileDescriptorSet (holdfast.fds of the build), or without a file those this program was
  /// built with. Throws failure(usage).
  explicit payload_reader(const std::string& descriptor_file = {});

  /// One line of JSON; nothing when the type is unknown or the bytes are not of it.
  std::optional<std::string> to_json(const std::string& type, std::string_view payload);

private:
  std::unique_ptr<google::protobuf::DescriptorPool> own_;
  const google::protobuf::DescriptorPool* pool_;
  google::protobuf::DynamicMessageFactory factory_;
  std::map<std::string, std::unique_ptr<google::protobuf::Message>> reused_;
};

/// "0a1b2c"
std::string hex(std::string_view bytes);

/// One message as a line for people or as a JSON line, newline included. A payload of unknown type is shown as hex.
std::string message_line(std::string_view topic, const v1::Envelope& envelope, std::string_view payload,
                         payload_reader& reader, bool json);

std::string gap_line(std::string_view topic, const v1::Envelope& envelope, std::uint64_t lost, bool json);

} // namespace holdfast::ctl
