#pragma once

#include "common/net/kernel_view.hpp"

#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace holdfast::net {

/// Tells at once when a way loses its carrier or its route, and when they come back: kernel_view on a netlink socket.
/// Lives in the io loop's thread; the members may be called from any. Where the kernel gives no such socket, it says so
/// in the log and tells nothing.
class kernel_watch : public std::enable_shared_from_this<kernel_watch> {
public:
  /// Runs in the io loop's thread, at each change, and at first only if something is missing.
  using handler = std::function<void(const kernel_view::verdict&)>;

  /// `interface` empty: the one that the route uses.
  static std::shared_ptr<kernel_watch> make(boost::asio::io_context& io, const std::string& interface,
                                            handler on_change);
  virtual ~kernel_watch() = default;
  /// Where the way leads and from which own address; empty: any.
  virtual void toward(const std::string& to, const std::string& from) = 0;
  /// No handler runs after this one has come to the io loop.
  virtual void stop() = 0;
};

} // namespace holdfast::net
