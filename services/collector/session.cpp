#include "services/collector/session.hpp"

#include "common/core/crc32c.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/wire.pb.h"
#include "services/collector/collector.hpp"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

namespace holdfast::collector {

namespace {

// What one session may have waiting for a commit (arrived::cost); a gateway's own window is usually below.
constexpr std::size_t max_waiting = 32 << 20;
constexpr std::size_t max_waiting_of_all = 128 << 20;
constexpr std::chrono::milliseconds hello_deadline{10'000};
constexpr std::size_t stranger_header = 4096;  // before the hello nobody gets more memory than that
constexpr std::size_t max_outgoing = 100'000;
// A key of the archive is the gateway's name and more; LMDB takes 511 bytes, and one that is too long fails the whole
// commit, other gateways' batches with it.
constexpr std::size_t max_name = 200;

void fill(v1::ClassRanges& out, const std::string& record_class, const std::vector<seq_range>& ranges) {
  out.set_record_class(record_class);
  for (auto& r : ranges) {
    auto& range = *out.add_ranges();
    range.set_first(r.first);
    range.set_last(r.last);
  }
}

} // namespace

session::session(std::shared_ptr<context> ctx, std::shared_ptr<net::stream> stream, std::function<void()> on_end)
    : ctx_(std::move(ctx)), stream_(std::move(stream)), on_end_(std::move(on_end)),
      reader_(0, stranger_header), idle_(ctx_->rt.io().context()), pause_(ctx_->rt.io().context()) {}

// What waits for the archive when a session goes is dropped there: nobody is left to acknowledge it to.
session::~session() { ctx_->waiting_bytes -= waiting_bytes_; }

void session::start() {
  watch();
  stream_->handshake(false, [self = shared_from_this()](boost::system::error_code ec) {
    if (ec)
      return self->close("handshake: " + self->stream_->explain(ec));
    self->read();
  });
}

void session::close(const std::string& why) {
  if (closed_)
    return;
  closed_ = true;
  idle_.cancel();
  pause_.cancel();
  log::info("session closed peer={} gateway={} cause=\"{}\"", stream_->peer(), gateway_, why);
  stream_->close();
  if (on_end_)
    on_end_();
}

// A peer that is silent for too long is gone, whatever TCP thinks; one that never says hello has the same time.
void session::watch() {
  const bool known = !gateway_.empty();
  idle_.expires_after(known ? ctx_->settings.idle_timeout : std::min(ctx_->settings.idle_timeout, hello_deadline));
  idle_.async_wait([self = shared_from_this(), known](boost::system::error_code ec) {
    if (ec || self->closed_)
      return;
    if (!known && self->gateway_.empty())
      return self->close("no hello in time");
    if (!self->heard_)
      return self->close("silent for too long");
    self->heard_ = false;
    self->watch();
  });
}

void session::read() {
  if (closed_ || refused_ || reading_ || waiting_bytes_ >= max_waiting)
    return;
  if (ctx_->waiting_bytes >= max_waiting_of_all)
    return read_later();
  reading_ = true;
  auto [to, size] = reader_.room();
  const auto buffer = boost::asio::buffer(to, size);
  stream_->read_some(buffer, [self = shared_from_this()](boost::system::error_code ec, std::size_t n) {
    self->reading_ = false;
    if (ec)
      return self->close(ec.message());
    self->heard_ = true;
    self->reader_.filled(n);
    self->take_frames();
    self->read();
  });
}

// The others fill the archive's queue: their acknowledgements do not wake this session, so it looks again by itself.
void session::read_later() {
  pause_.expires_after(std::chrono::milliseconds(20));
  pause_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
    if (!ec)
      self->read();
  });
}

void session::take_frames() {
  while (auto f = reader_.next()) {
    v1::WireMessage m;
    if (!m.ParseFromArray(f->header.data(), static_cast<int>(f->header.size())))
      return refuse("header is not a holdfast.v1.WireMessage");
    if (!take(m, std::move(f->payload)))
      return;
  }
  if (!reader_.error().empty()) {
    log::warn("malformed frame peer={} cause=\"{}\"", stream_->peer(), reader_.error());
    refuse(reader_.error());
  }
}

// False: the session is over.
bool session::take(const v1::WireMessage& m, blob payload) {
  if (m.has_hello() && !gateway_.empty()) {
    refuse("a second hello");
    return false;
  }
  if (m.has_hello()) {
    if (m.hello().protocol() != net::wire_protocol || m.hello().gateway().empty() || m.hello().epoch() == 0) {
      refuse(fmt::format("hello with protocol {}; this collector speaks {}", m.hello().protocol(), net::wire_protocol));
      return false;
    }
    if (m.hello().gateway().size() > max_name) {
      refuse(fmt::format("a gateway's name of {} bytes; at most {}", m.hello().gateway().size(), max_name));
      return false;
    }
    gateway_ = m.hello().gateway();
    epoch_ = m.hello().epoch();
    reader_.limit(net::wire_max_header, ctx_->settings.max_frame.count);
    log::info("session opened peer={} gateway={} epoch={:016x} link={}", stream_->peer(), gateway_, epoch_,
              m.hello().link());
    ctx_->archive.send(greeted{shared_from_this(), gateway_, epoch_});
    return true;
  }
  if (gateway_.empty()) {
    refuse("first frame is not a hello");
    return false;
  }
  if (m.has_ping()) {
    v1::WireMessage pong;
    pong.mutable_pong()->set_id(m.ping().id());
    pong.mutable_pong()->set_sent_monotonic_nanos(m.ping().sent_monotonic_nanos());
    send(pong);
    return true;
  }
  if (m.has_data())
    return take_data(m, std::move(payload));
  refuse("unexpected frame");
  return false;
}

bool session::take_data(const v1::WireMessage& m, blob payload) {
  auto& d = m.data();
  const bool gap = d.gap_reason() != 0;
  if (d.record_class().empty() || d.record_class().size() > 64 || d.first_seq() == 0 || d.record_count() == 0
      || d.first_seq() + d.record_count() < d.first_seq()) {
    refuse("data without class, seq or records");
    return false;
  }
  if ((gap || d.check_only()) != payload.empty() || (!payload.empty() && crc32c(payload.view()) != d.crc32c())) {
    refuse(fmt::format("batch {} {} does not match its checksum or kind", d.record_class(), d.first_seq()));
    return false;
  }
  arrived a{shared_from_this(), {gateway_, epoch_, d.record_class()},
            {d.first_seq(), d.first_seq() + d.record_count() - 1}, d.crc32c(), d.gap_reason(), d.historical(),
            d.check_only(), std::move(payload)};
  waiting_bytes_ += a.cost();
  ctx_->waiting_bytes += a.cost();
  ctx_->archive.send(std::move(a));
  return true;
}

void session::send_welcome(const ranges_by_class& present, const ranges_by_class& elsewhere) {
  v1::WireMessage m;
  auto& w = *m.mutable_welcome();
  w.set_protocol(net::wire_protocol);
  w.set_collector(ctx_->settings.name);
  w.set_max_frame_bytes(ctx_->settings.max_frame.count);
  for (auto& [record_class, ranges] : present)
    fill(*w.add_present(), record_class, ranges);
  for (auto& [record_class, ranges] : elsewhere)
    fill(*w.add_elsewhere(), record_class, ranges);
  ctx_->rt.io().post([self = shared_from_this(), m = std::move(m)] { self->send(m); });
}

void session::send_ack(const std::map<std::string, std::vector<seq_range>>& stored, std::size_t cost) {
  v1::WireMessage m;
  for (auto& [record_class, ranges] : stored)
    fill(*m.mutable_ack()->add_stored(), record_class, ranges);
  ctx_->rt.io().post([self = shared_from_this(), m = std::move(m), cost] {
    self->send(m);
    self->done(cost);
  });
}

void session::send_rejected(const v1::Rejected& r, std::size_t cost) {
  v1::WireMessage m;
  *m.mutable_rejected() = r;
  ctx_->rt.io().post([self = shared_from_this(), m = std::move(m), cost] {
    if (!std::exchange(self->rejected_, true))  // once a session: a store that gives numbers again has many
      log::warn("batches rejected peer={} gateway={} class={} first_seq={} cause=\"{}\"", self->stream_->peer(),
                self->gateway_, m.rejected().record_class(), m.rejected().first_seq(), m.rejected().detail());
    self->send(m);
    self->done(cost);
  });
}

// So much less waits for the archive.
void session::done(std::size_t cost) {
  waiting_bytes_ -= cost;
  ctx_->waiting_bytes -= cost;
  read();
}

void session::refuse(const std::string& why) {
  refused_ = true;
  log::warn("session refused peer={} gateway={} cause=\"{}\"", stream_->peer(), gateway_, why);
  v1::WireMessage m;
  m.mutable_refusal()->set_reason(why);
  m.mutable_refusal()->set_permanent(true);
  ctx_->rt.io().post([self = shared_from_this(), m = std::move(m), why] {
    self->last_word_ = why;
    self->send(m);  // the end comes when it is written
  });
}

void session::send(const v1::WireMessage& m) {
  if (closed_)
    return;
  if (outgoing_.size() >= max_outgoing)
    return close("does not read its acknowledgements");
  outgoing_.push_back(net::encode_wire(m));
  if (!writing_)
    write();
}

void session::write() {
  writing_ = true;
  auto batch = std::make_shared<std::deque<std::string>>(std::exchange(outgoing_, {}));
  std::vector<boost::asio::const_buffer> buffers;
  for (auto& text : *batch)
    buffers.emplace_back(text.data(), text.size());
  stream_->write(buffers, [self = shared_from_this(), batch](boost::system::error_code ec, std::size_t) {
    self->writing_ = false;
    if (ec)
      return self->close(ec.message());
    if (!self->outgoing_.empty())
      self->write();
    else if (!self->last_word_.empty())
      self->close(self->last_word_);
  });
}

} // namespace holdfast::collector
