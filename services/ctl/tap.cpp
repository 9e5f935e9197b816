#include "services/ctl/ctl.hpp"

#include "common/bus/endpoints.hpp"
#include "common/render/record_json.hpp"
#include "holdfast/v1/record.pb.h"
#include "services/ctl/output.hpp"
#include "services/ctl/tap_message.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zmq.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace holdfast::ctl {

namespace {

constexpr std::array<const char*, 6> event_topics{"heartbeat.", "metrics.", "state.", "alarm.", "process.", "link."};
constexpr int queue = 10000;                      // messages kept here while standard output is slow
constexpr std::int64_t max_message = 64 << 20;    // the largest batch a store may be configured for
constexpr int turn_millis = 200;

using message = std::array<zmq::message_t, 3>;    // topic | Envelope | payload

struct tapping {
  explicit tapping(const tap_options& o) : options(o), reader(o.descriptors) {}
  const tap_options& options;
  payload_reader reader;
  gap_counter gaps;
  line_output out{STDOUT_FILENO};
  std::uint64_t shown = 0;
  std::uint64_t malformed = 0;
  v1::Envelope envelope;
  v1::Batch batch;
  std::string lines;
};

std::vector<std::string> topics_of(const tap_options& options) {
  auto topics = options.topics;
  if (options.records)
    topics.emplace_back("record.");
  // Not the empty topic: while somebody listens to records the store publishes every one of them.
  if (topics.empty())
    topics.assign(event_topics.begin(), event_topics.end());
  return topics;
}

zmq::socket_t open_tap(zmq::context_t& context, const site& where, const tap_options& options) {
  if (const auto file = where.socket("tap"); ::access(file.c_str(), W_OK) != 0)
    throw failure(unreachable, fmt::format("failed to open the tap {}: {}{}", file, std::strerror(errno),
                                           errno == ENOENT ? " (is health running?)" : ""));
  zmq::socket_t socket(context, zmq::socket_type::sub);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::rcvhwm, queue);
  socket.set(zmq::sockopt::maxmsgsize, max_message);
  for (auto& topic : topics_of(options))
    socket.set(zmq::sockopt::subscribe, topic);
  socket.connect(bus::address(where.run_directory, "tap"));
  return socket;
}

std::string_view view(const zmq::message_t& frame) { return {frame.data<char>(), frame.size()}; }

// False: no whole message there. Frames beyond the third are read and dropped.
bool receive(zmq::socket_t& socket, message& m, std::size_t& frames) {
  frames = 0;
  for (bool more = true; more; ++frames) {
    zmq::message_t frame;
    if (!socket.recv(frame, zmq::recv_flags::dontwait))
      return false;
    more = frame.more();
    if (frames < m.size())
      m[frames] = std::move(frame);
  }
  return true;
}

void show(tapping& t, const message& m) {
  const auto topic = view(m[0]);
  const auto payload = view(m[2]);
  t.lines.clear();
  if (const auto lost = t.gaps.take(t.envelope, topic); lost != 0)
    t.lines += gap_line(topic, t.envelope, lost, t.options.json);
  const bool records = t.options.records && t.envelope.has_place()
                       && t.batch.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  if (!records)
    t.lines += message_line(topic, t.envelope, payload, t.reader, t.options.json);
  else if (t.options.json)
    render::append_json_lines(t.lines, t.envelope.place(), t.batch);
  else
    render::append_human_lines(t.lines, t.envelope.place(), t.batch);
}

// False: the reader of our output is gone, or enough was shown.
bool take_all(zmq::socket_t& socket, tapping& t) {
  message m;
  std::size_t frames = 0;
  while (!stop_requested() && receive(socket, m, frames)) {
    if (frames != m.size() || !t.envelope.ParseFromArray(m[1].data(), static_cast<int>(m[1].size()))) {
      ++t.malformed;
      continue;
    }
    show(t, m);
    if (!t.out.write(t.lines) || ++t.shown == t.options.count)
      return false;
  }
  return true;
}

} // namespace

int tap(const site& where, const tap_options& options) {
  take_signals();
  tapping t(options);
  zmq::context_t context{1};
  auto socket = open_tap(context, where, options);
  zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLIN, 0};
  bool more = true;
  while (more && !stop_requested()) {
    if (::zmq_poll(&item, 1, turn_millis) < 0 && errno != EINTR)
      throw failure(unreachable, fmt::format("failed to read the tap: {}", zmq_strerror(errno)));
    more = take_all(socket, t) && t.out.flush();
  }
  if (t.gaps.total() != 0 || t.malformed != 0)
    fmt::print(stderr, "tap: {} messages lost, {} not understood\n", t.gaps.total(), t.malformed);
  return ok;
}

} // namespace holdfast::ctl
