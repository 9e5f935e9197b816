#include "common/net/wire.hpp"

#include "holdfast/v1/wire.pb.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <endian.h>

namespace holdfast::net {

namespace {

constexpr std::string_view magic = "HFW1";
constexpr std::size_t small_buffer = 16 * 1024;    // until the peer has sent a payload: strangers get no more
constexpr std::size_t large_buffer = 512 * 1024;

std::uint32_t read_u32(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return be32toh(v);
}

void append_u32(std::string& out, std::size_t n) {
  const auto v = htobe32(static_cast<std::uint32_t>(n));
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

} // namespace

std::string encode_wire(const v1::WireMessage& header, std::size_t payload_bytes) {
  std::string out;
  const auto size = header.ByteSizeLong();
  out.reserve(wire_preamble + size);
  out.append(magic);
  append_u32(out, size);
  append_u32(out, payload_bytes);
  header.AppendToString(&out);
  return out;
}

void wire_reader::make_room(std::size_t wanted) {
  const auto kept = end_ - begin_;
  if (buffer_ && buffer_.use_count() == 1 && buffer_->size() >= kept + wanted) {
    std::atomic_thread_fence(std::memory_order_acquire);  // behind the last reader's release of its frame
    std::memmove(buffer_->data(), buffer_->data() + begin_, kept);
  } else {
    // Frames still point into the old buffer: it lives on with them, the rest moves to a new one.
    auto fresh = std::make_shared<std::string>();
    fresh->resize(std::max(has_payloads_ ? large_buffer : small_buffer, kept + wanted));
    if (kept > 0)
      std::memcpy(fresh->data(), buffer_->data() + begin_, kept);
    buffer_ = std::move(fresh);
  }
  begin_ = 0;
  end_ = kept;
}

std::pair<char*, std::size_t> wire_reader::room() {
  std::size_t wanted = 1;
  if (end_ - begin_ >= wire_preamble && error_.empty()) {
    const char* p = buffer_->data() + begin_;
    wanted = wire_preamble + read_u32(p + 4) + read_u32(p + 8) - (end_ - begin_);
  }
  if (!buffer_ || buffer_->size() - end_ < std::max<std::size_t>(wanted, 4096))
    make_room(std::max<std::size_t>(wanted, 4096));
  return {buffer_->data() + end_, buffer_->size() - end_};
}

void wire_reader::filled(std::size_t n) { end_ += n; }

std::optional<wire_reader::frame> wire_reader::next() {
  if (!error_.empty() || end_ - begin_ < wire_preamble)
    return std::nullopt;
  const char* p = buffer_->data() + begin_;
  if (std::string_view(p, magic.size()) != magic) {
    fail("not a holdfast frame");
    return std::nullopt;
  }
  const std::size_t header = read_u32(p + 4);
  const std::size_t payload = read_u32(p + 8);
  if (header > max_header_ || payload > max_payload_) {
    fail(fmt::format("frame of {}+{} bytes above the limit of {}+{}", header, payload, max_header_, max_payload_));
    return std::nullopt;
  }
  if (end_ - begin_ < wire_preamble + header + payload)
    return std::nullopt;
  begin_ += wire_preamble + header + payload;
  has_payloads_ = has_payloads_ || payload > 0;
  return frame{blob(buffer_, p + wire_preamble, header), blob(buffer_, p + wire_preamble + header, payload)};
}

} // namespace holdfast::net
