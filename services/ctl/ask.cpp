#include "services/ctl/ask.hpp"

#include "common/bus/endpoints.hpp"
#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace holdfast::ctl {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view scheme = "ipc://";
constexpr std::int64_t max_reply = 4 << 20;  // a reply carries every figure of its service
constexpr milliseconds turn{100};            // between two looks at the stop signal

struct question {
  answer result;
  zmq::socket_t socket;
  bool open = false;
};

// Why there can be no answer from this address, or nothing. ZeroMQ would try in silence until the time is over.
std::string obstacle(const std::string& address) {
  const auto file = address.substr(scheme.size());
  if (file.size() >= sizeof sockaddr_un::sun_path)
    return fmt::format("the path {} is too long for a socket", file);
  if (::access(file.c_str(), W_OK) == 0)
    return {};
  return errno == ENOENT ? "not running (no socket)" : fmt::format("failed to open {}: {}", file, std::strerror(errno));
}

void send_question(question& q, zmq::context_t& context, const std::string& run_directory, const std::string& request) {
  const auto address = bus::address(run_directory, "control." + q.result.instance);
  q.result.error = obstacle(address);
  if (!q.result.error.empty())
    return;
  try {
    q.socket = zmq::socket_t(context, zmq::socket_type::dealer);
    q.socket.set(zmq::sockopt::linger, 0);
    q.socket.set(zmq::sockopt::maxmsgsize, max_reply);
    q.socket.set(zmq::sockopt::reconnect_ivl, 10);
    q.socket.connect(address);
    // Not IMMEDIATE: the one question waits in the socket for the connection.
    q.socket.send(zmq::buffer(request), zmq::send_flags::dontwait);
    q.open = true;
    q.result.error = "no answer in time";
  } catch (const zmq::error_t& e) {
    q.result.error = fmt::format("failed to connect to {}: {}", address, e.what());
  }
}

void take_reply(question& q, std::uint64_t id, clock::time_point start) {
  zmq::message_t frame;
  while (q.open && q.socket.recv(frame, zmq::recv_flags::dontwait)) {
    v1::ControlReply reply;
    if (!reply.ParseFromArray(frame.data(), static_cast<int>(frame.size())) || reply.id() != id)
      continue;
    q.result.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - start);
    q.result.reply = std::move(reply);
    q.result.error.clear();
    q.open = false;
  }
}

// One wait for whoever answers first.
void wait_for_replies(std::vector<question>& questions, milliseconds wait) {
  std::vector<zmq::pollitem_t> items;
  for (auto& q : questions)
    if (q.open)
      items.push_back({q.socket.handle(), 0, ZMQ_POLLIN, 0});
  ::zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(wait.count()));
}

} // namespace

std::vector<answer> ask(const std::string& run_directory, const std::vector<std::string>& instances,
                        v1::ControlRequest request, milliseconds timeout) {
  request.set_id(1);  // one question on each socket
  request.set_deadline_millis(static_cast<std::uint64_t>(timeout.count()));
  const auto text = request.SerializeAsString();
  zmq::context_t context{1};
  const auto start = clock::now();
  const auto deadline = start + timeout;
  std::vector<question> questions(instances.size());
  for (std::size_t i = 0; i < instances.size(); ++i) {
    questions[i].result.instance = instances[i];
    send_question(questions[i], context, run_directory, text);
  }
  const auto open = [](auto& q) { return q.open; };
  while (std::any_of(questions.begin(), questions.end(), open) && clock::now() < deadline && !stop_requested()) {
    wait_for_replies(questions, std::min(turn, std::chrono::ceil<milliseconds>(deadline - clock::now())));
    for (auto& q : questions)
      take_reply(q, request.id(), start);
  }
  std::vector<answer> out;
  for (auto& q : questions)
    out.push_back(std::move(q.result));
  return out;
}

answer ask(const std::string& run_directory, const std::string& instance, v1::ControlRequest request,
           milliseconds timeout) {
  return ask(run_directory, std::vector{instance}, std::move(request), timeout).front();
}

v1::ControlRequest status_request() {
  v1::ControlRequest request;
  request.mutable_status();
  return request;
}

} // namespace holdfast::ctl
