#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

/// Immutable bytes with shared ownership: a batch keeps one blob from its source to the socket, whoever owns the memory
/// (a string, a ZeroMQ frame, a receive buffer). Copies share; any thread may read.
class blob {
public:
  blob() = default;

  explicit blob(std::string text) {
    auto owner = std::make_shared<const std::string>(std::move(text));
    data_ = owner->data();
    size_ = owner->size();
    owner_ = std::move(owner);
  }

  /// Bytes inside memory that `owner` keeps alive.
  blob(std::shared_ptr<const void> owner, const char* data, std::size_t size)
      : owner_(std::move(owner)), data_(data), size_(size) {}

  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::string_view view() const noexcept { return {data_, size_}; }
  const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

private:
  std::shared_ptr<const void> owner_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace holdfast
