// What passes over a connection: frames from the other end and to it, and what the kernel says of them.

#include "services/uplink/tcp_connection.hpp"

#include <fmt/format.h>

#include <utility>

namespace holdfast::uplink {

void tcp_connection::read() {
  auto [to, size] = reader_.room();
  stream_->read_some(boost::asio::buffer(to, size), [self = me(), at = stream_, n = turn_](error_code ec,
                                                                                           std::size_t bytes) {
    if (self->over(n))
      return;
    if (ec)
      return self->failed(ec == boost::asio::error::eof ? "closed by the other end" : ec.message());
    self->reader_.filled(bytes);
    self->take_frames();
  });
}

void tcp_connection::take_frames() {
  const auto n = turn_;
  while (auto f = reader_.next()) {
    v1::WireMessage m;
    if (!m.ParseFromArray(f->header.data(), static_cast<int>(f->header.size())))
      return failed("malformed frame from " + stream_->peer());
    take(m);
    if (over(n))
      return;
  }
  if (!reader_.error().empty())
    return failed(fmt::format("malformed frame from {}: {}", stream_->peer(), reader_.error()));
  read();
}

void tcp_connection::take(const v1::WireMessage& m) {
  if (m.has_refusal())
    return failed(fmt::format("refused by {}: {}", stream_->peer(), m.refusal().reason()));
  if (!welcomed_ && m.has_welcome()) {
    deadline_.cancel();
    welcomed_ = clock::now();
    addresses_->worked(to_);
    callbacks_.on_open(stream_->peer());
  }
  if (welcomed_)
    callbacks_.on_message(m);
}

void tcp_connection::queue(const v1::WireMessage& header, blob payload) {
  auto head = net::encode_wire(header, payload.size());
  outbox_.put(header, {std::move(head), std::move(payload)});
  if (open_)
    write();
}

void tcp_connection::write() {
  if (writing_ || outbox_.empty())
    return;
  writing_ = true;
  auto batch = std::make_shared<std::vector<outbox::frame>>(outbox_.take());
  std::vector<boost::asio::const_buffer> buffers;
  for (auto& o : *batch) {
    buffers.emplace_back(o.head.data(), o.head.size());
    if (!o.payload.empty())
      buffers.emplace_back(o.payload.data(), o.payload.size());
  }
  stream_->write(buffers, [self = me(), batch, at = stream_, n = turn_](error_code ec, std::size_t) {
    if (self->over(n))
      return;
    self->writing_ = false;
    if (ec)
      return self->failed(ec.message());
    self->write();
  });
}

// path_mutex_ is held, and so the descriptor is no other connection's yet.
void tcp_connection::look() {
  if (descriptor_ < 0)
    return;
  path_ = net::read_path(descriptor_);
  path_.waiting = path_.waiting || writing_;
}

void tcp_connection::tell_path(int descriptor) {
  std::lock_guard lock(path_mutex_);
  look();
  descriptor_ = descriptor;
}

} // namespace holdfast::uplink
