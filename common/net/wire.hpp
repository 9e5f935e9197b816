#pragma once

#include "common/core/blob.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::v1 {
class WireMessage;
}

namespace holdfast::net {

/// Frames of the uplink's byte stream (messages/holdfast/v1/wire.proto):
///   "HFW1" | uint32 header length | uint32 payload length | WireMessage | payload      (big-endian)
inline constexpr std::size_t wire_preamble = 12;
inline constexpr std::uint32_t wire_protocol = 1;
inline constexpr std::size_t wire_max_header = 1 << 20;  ///< a welcome lists ranges; a megabyte is 60,000 of them

/// Preamble and header of a frame; the payload is sent behind it from its own memory.
std::string encode_wire(const v1::WireMessage& header, std::size_t payload_bytes = 0);

/// Cuts a byte stream into frames. Pure: bytes in, frames out.
class wire_reader {
public:
  /// Largest payload and header accepted, in bytes.
  explicit wire_reader(std::size_t max_payload, std::size_t max_header = wire_max_header)
      : max_payload_(max_payload), max_header_(max_header) {}
  /// From the next frame on.
  void limit(std::size_t max_header, std::size_t max_payload) {
    max_header_ = max_header;
    max_payload_ = max_payload;
  }

  struct frame {
    blob header;
    blob payload;
  };

  /// Where to put the next bytes: at least one byte of room.
  std::pair<char*, std::size_t> room();
  /// n bytes were put there.
  void filled(std::size_t n);
  /// The next complete frame, if there is one.
  std::optional<frame> next();
  /// Not empty: the stream cannot be understood from here on; says why.
  const std::string& error() const noexcept { return error_; }

private:
  void fail(std::string why) { error_ = std::move(why); }
  void make_room(std::size_t wanted);

  std::size_t max_payload_;
  std::size_t max_header_;
  std::shared_ptr<std::string> buffer_;  // shared with the frames cut from it
  std::size_t begin_ = 0;                // first byte not yet given out
  std::size_t end_ = 0;                  // first free byte
  bool has_payloads_ = false;
  std::string error_;
};

} // namespace holdfast::net
