#include "services/acquisition/framing.hpp"

#include <algorithm>
#include <cstring>

namespace holdfast::acquisition {

bool framer::feed(std::string_view bytes, const sink& to) {
  switch (settings_.kind) {
    case config::framing_kind::line: return lines(bytes, to);
    case config::framing_kind::length_prefix: return prefixed(bytes, to);
    case config::framing_kind::fixed: return fixed(bytes, to);
    case config::framing_kind::idle_gap: return gaps(bytes, to);
  }
  return false;
}

bool framer::lines(std::string_view bytes, const sink& to) {
  const auto limit = settings_.max_length.count;
  while (!bytes.empty()) {
    const auto* end = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
    const auto part = bytes.substr(0, end != nullptr ? static_cast<std::size_t>(end - bytes.data()) : bytes.size());
    if (skipping_) {
      skipped_ += part.size();
    } else if (rest_.size() + part.size() > limit) {
      skipping_ = true;
      skipped_ = rest_.size() + part.size();
      rest_.clear();
    } else if (end == nullptr) {
      rest_.append(part);
    } else if (rest_.empty()) {
      to.frame(part);
    } else {
      rest_.append(part);
      to.frame(rest_);
      rest_.clear();
    }
    if (end == nullptr)
      return true;
    if (skipping_)
      to.oversize(skipped_);
    skipping_ = false;
    bytes.remove_prefix(part.size() + 1);
  }
  return true;
}

std::size_t framer::read_prefix(std::string_view at) const {
  std::size_t n = 0;
  for (unsigned i = 0; i < settings_.prefix_bytes; ++i) {
    const auto byte = static_cast<unsigned char>(at[settings_.prefix_big_endian ? i : settings_.prefix_bytes - 1 - i]);
    n = (n << 8) | byte;
  }
  return n;
}

bool framer::prefixed(std::string_view bytes, const sink& to) {
  rest_.append(bytes);
  std::string_view left = rest_;
  const std::size_t prefix = settings_.prefix_bytes;
  bool sound = true;
  while (left.size() >= prefix) {
    const auto announced = read_prefix(left);
    const auto own = settings_.prefix_counts_itself ? prefix : 0;
    if (announced < own || announced - own > settings_.max_length.count) {
      to.oversize(announced);
      left = {};
      sound = false;
      break;
    }
    const auto length = announced - own;
    if (left.size() < prefix + length)
      break;
    to.frame(left.substr(prefix, length));
    left.remove_prefix(prefix + length);
  }
  rest_.erase(0, rest_.size() - left.size());
  return sound;
}

bool framer::fixed(std::string_view bytes, const sink& to) {
  const auto length = settings_.length.count;
  rest_.append(bytes);
  std::string_view left = rest_;
  for (; left.size() >= length; left.remove_prefix(length))
    to.frame(left.substr(0, length));
  rest_.erase(0, rest_.size() - left.size());
  return true;
}

bool framer::gaps(std::string_view bytes, const sink& to) {
  while (!bytes.empty()) {
    const auto take = std::min<std::size_t>(bytes.size(), settings_.max_length.count - rest_.size());
    rest_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (rest_.size() >= settings_.max_length.count)
      idle(to);
  }
  return true;
}

void framer::idle(const sink& to) {
  if (settings_.kind == config::framing_kind::idle_gap && !rest_.empty())
    to.frame(rest_);
  rest_.clear();
  skipping_ = false;
}

} // namespace holdfast::acquisition
