#pragma once

#include "common/core/range_set.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::v1 {
class Rejected;
class WireMessage;
}

namespace holdfast::collector {

struct context;

/// One gateway's connection. Lives in the io loop's thread; send_welcome(), send_ack(), send_rejected() and
/// refuse() may be called from any.
/// Reading stops while too much waits for the archive, and so the gateway's window fills and it waits.
class session : public std::enable_shared_from_this<session> {
public:
  session(std::shared_ptr<context> ctx, std::shared_ptr<net::stream> stream, std::function<void()> on_end);

  ~session();

  void start();
  /// From the io loop only.
  void close(const std::string& why);

  using ranges_by_class = std::map<std::string, std::vector<seq_range>>;
  void send_welcome(const ranges_by_class& present, const ranges_by_class& elsewhere);
  /// `cost`: of batches that no longer wait for the archive.
  void send_ack(const std::map<std::string, std::vector<seq_range>>& stored, std::size_t cost);
  /// This batch is not stored, and why; the session goes on.
  void send_rejected(const v1::Rejected& r, std::size_t cost);
  /// Tells the gateway why and closes.
  void refuse(const std::string& why);
  bool refused() const noexcept { return refused_; }

private:
  void read();
  void read_later();
  void take_frames();
  bool take(const v1::WireMessage& m, blob payload);
  bool take_data(const v1::WireMessage& m, blob payload);
  void done(std::size_t cost);
  void send(const v1::WireMessage& m);
  void write();
  void watch();

  std::shared_ptr<context> ctx_;
  std::shared_ptr<net::stream> stream_;
  std::function<void()> on_end_;
  net::wire_reader reader_;
  boost::asio::steady_timer idle_;
  boost::asio::steady_timer pause_;
  std::deque<std::string> outgoing_;
  bool writing_ = false;
  bool reading_ = false;
  bool closed_ = false;
  std::string last_word_;       // not empty: closes when everything is written
  std::atomic<bool> refused_{false};  // nothing more is read, nor stored; ARCHIVE refuses too
  bool heard_ = true;           // since the last idle check
  std::string gateway_;         // empty: no hello yet
  std::uint64_t epoch_ = 0;
  std::size_t waiting_bytes_ = 0;
  bool rejected_ = false;       // and the log has said why, once
};

} // namespace holdfast::collector
