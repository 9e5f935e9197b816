#pragma once

#include "services/acquisition/intake.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <deque>

namespace holdfast::acquisition {

/// A conversation over any Asio byte stream (TCP socket, serial port). Lives in the io loop's thread.
template <class Stream> class stream_conversation final
    : public conversation, public std::enable_shared_from_this<stream_conversation<Stream>> {
public:
  stream_conversation(intake_setup setup, Stream stream, std::string peer, std::chrono::milliseconds gap)
      : setup_(std::move(setup)), stream_(std::move(stream)), peer_(std::move(peer)), gap_(gap),
        gap_timer_(setup_.ctx->rt.io().context()) {}

  void resume() override {
    boost::asio::post(stream_.get_executor(), [self = this->shared_from_this()] { self->read(); });
  }

  void write(std::string bytes) override {
    boost::asio::post(stream_.get_executor(), [self = this->shared_from_this(), bytes = std::move(bytes)]() mutable {
      self->queue(std::move(bytes));
    });
  }

  void close(const std::string& why) override {
    boost::asio::post(stream_.get_executor(), [self = this->shared_from_this(), why] { self->end(why); });
  }

  const std::string& peer() const override { return peer_; }
  bool closed() const noexcept { return ended_; }
  /// It brought a byte.
  bool heard() const noexcept { return last_read_ > 0; }
  /// Why it ended.
  const std::string& cause() const noexcept { return cause_; }

private:
  static constexpr std::size_t read_size = 256 * 1024;
  static constexpr std::size_t max_backlog = 64 * 1024;

  void read() {
    if (ended_ || reading_)
      return;
    reading_ = true;
    auto buffer = std::make_shared<std::string>();
    buffer->resize(last_read_ >= read_size / 4 ? read_size : read_size / 8);
    stream_.async_read_some(boost::asio::buffer(*buffer), [self = this->shared_from_this(), buffer](auto ec, std::size_t n) {
      self->reading_ = false;
      if (ec)
        return self->end(ec == boost::asio::error::eof ? "closed by the device" : ec.message());
      self->last_read_ = n;
      self->gap_timer_.cancel();
      self->setup_.to->send(received{self, now(), blob(buffer, buffer->data(), n)});
      self->watch_gap();
    });
  }

  // Idle-gap framing only: the pause itself is the end of a frame.
  void watch_gap() {
    if (gap_.count() == 0)
      return;
    gap_timer_.expires_after(gap_);
    gap_timer_.async_wait([self = this->shared_from_this()](auto ec) {
      if (!ec)
        self->setup_.to->send(went_idle{self, now()});
    });
  }

  void queue(std::string bytes) {
    if (ended_)
      return;
    backlog_ += bytes.size();
    if (backlog_ > max_backlog)
      return end("does not read what is written to it");
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1)
      send_first();
  }

  void send_first() {
    boost::asio::async_write(stream_, boost::asio::buffer(outgoing_.front()),
                             [self = this->shared_from_this()](auto ec, std::size_t n) {
                               if (ec)
                                 return self->end(ec.message());
                               self->backlog_ -= n;
                               self->outgoing_.pop_front();
                               if (!self->outgoing_.empty())
                                 self->send_first();
                             });
  }

  void end(const std::string& why) {
    if (ended_)
      return;
    ended_ = true;
    cause_ = why;
    gap_timer_.cancel();
    boost::system::error_code ignored;
    stream_.close(ignored);
    setup_.to->send(disconnected{this->shared_from_this(), why});
  }

  intake_setup setup_;
  Stream stream_;
  std::string peer_;
  std::string cause_;
  std::chrono::milliseconds gap_;
  boost::asio::steady_timer gap_timer_;
  std::deque<std::string> outgoing_;
  std::size_t backlog_ = 0;
  std::size_t last_read_ = 0;
  bool reading_ = false;
  bool ended_ = false;
};

/// The pause that ends a frame; zero where the framing does not use one.
inline std::chrono::milliseconds frame_gap(const config::framing& f) {
  return f.kind == config::framing_kind::idle_gap ? f.gap : std::chrono::milliseconds(0);
}

} // namespace holdfast::acquisition
