#pragma once

#include "common/config/config.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace holdfast::acquisition {

/// Cuts a byte stream into frames. Pure: bytes in, frames out. The frame's own bytes are untouched; the delimiter
/// ('\n') or the length prefix is not part of it.
class framer {
public:
  struct sink {
    std::function<void(std::string_view)> frame;            ///< the view is valid during the call
    std::function<void(std::size_t bytes)> oversize;        ///< a frame above max_length was dropped
  };

  explicit framer(config::framing settings) : settings_(settings) {}

  /// False: the stream cannot be understood from here on (a length prefix above the limit); the connection has to end.
  bool feed(std::string_view bytes, const sink& to);
  /// The line was silent for the frame gap, or the connection ended. Only idle-gap framing has a frame then.
  void idle(const sink& to);
  /// Bytes of a frame that is not complete yet.
  std::size_t pending() const noexcept { return rest_.size(); }

private:
  bool lines(std::string_view bytes, const sink& to);
  bool prefixed(std::string_view bytes, const sink& to);
  bool fixed(std::string_view bytes, const sink& to);
  bool gaps(std::string_view bytes, const sink& to);
  std::size_t read_prefix(std::string_view at) const;

  config::framing settings_;
  std::string rest_;          // of an incomplete frame
  bool skipping_ = false;     // lines: in the middle of one that is too long
  std::size_t skipped_ = 0;
};

} // namespace holdfast::acquisition
