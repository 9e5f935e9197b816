#include "services/acquisition/io_intake.hpp"
#include "services/acquisition/on_way.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string_view>

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using boost::asio::ip::udp;
using boost::system::error_code;

constexpr auto bind_retry = 1000ms;
constexpr int receive_buffer = 4 << 20;  // bursts wait in the kernel while a batch is on its way
constexpr int datagrams_per_turn = 256;
constexpr std::uint64_t most_on_way = 4 << 20;  // bytes in SOURCE's mailbox
constexpr auto look_again = 2ms;                // whether SOURCE has made room

/// Receives; lives in the io loop's thread.
class receiver : public std::enable_shared_from_this<receiver> {
public:
  explicit receiver(intake_setup s)
      : setup_(std::move(s)), settings_(std::get<config::udp_server_source>(setup_.settings.kind)),
        socket_(setup_.ctx->rt.io().context()), timer_(setup_.ctx->rt.io().context()) {}

  void open() {
    try {
      udp::resolver resolver(setup_.ctx->rt.io().context());
      const auto found = resolver.resolve(settings_.listen.host, std::to_string(settings_.listen.port));
      const udp::endpoint at = found.begin()->endpoint();
      socket_ = udp::socket(setup_.ctx->rt.io().context());
      socket_.open(at.protocol());
      error_code ignored;
      socket_.set_option(udp::socket::receive_buffer_size(receive_buffer), ignored);
      const int yes = 1;
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RXQ_OVFL, &yes, sizeof yes);
      dropped_ = 0;
      socket_.bind(at);
    } catch (const boost::system::system_error& e) {
      tell("failing", fmt::format("failed to listen on {}: {}", settings_.listen.text(), e.code().message()), false);
      timer_.expires_after(bind_retry);
      timer_.async_wait([self = shared_from_this()](error_code ec) {
        if (!ec)
          self->open();
      });
      return;
    }
    tell("listening", settings_.listen.text(), true);
    receive();
  }

  void stop() {
    tell_dropped();
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
  }

private:
  void tell(const char* state, const std::string& detail, bool healthy) {
    setup_.to->send(intake_state{"source:" + setup_.settings.name, state, detail, healthy});
  }

  // A SOURCE that is slower than the network must not be given more than it can work off: its heartbeat stands behind
  // what is in its mailbox. Above the limit datagrams wait in the kernel, which drops and counts.
  void receive() {
    socket_.async_wait(udp::socket::wait_read, [self = shared_from_this()](error_code ec) {
      if (ec == boost::asio::error::operation_aborted || ec == boost::asio::error::bad_descriptor)
        return;
      self->take_turn();
    });
  }

  // Reads until nothing waits. Only then the socket is waited for: the end of a burst may be what the kernel dropped,
  // no other datagram comes to tell it, and a socket that is empty has no more to drop.
  void take_turn() {
    for (int n = 0; n < datagrams_per_turn && !on_way_.full(); ++n)
      if (!take_one()) {
        tell_dropped();
        return receive();
      }
    after(on_way_.full() ? look_again : 0ms);
  }

  void after(std::chrono::milliseconds pause) {
    timer_.expires_after(pause);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec)
        self->take_turn();
    });
  }

  // By recvmsg and not by Asio, for the kernel's count of what it had to drop (SO_RXQ_OVFL, see socket(7)).
  bool take_one() {
    buffer_.resize(settings_.max_datagram.count + 1);  // one more byte tells a datagram that is too long
    iovec part{buffer_.data(), buffer_.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))];
    msghdr m{};
    m.msg_name = from_.data();
    m.msg_namelen = static_cast<socklen_t>(from_.capacity());
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    const auto size = ::recvmsg(socket_.native_handle(), &m, MSG_DONTWAIT);
    if (size < 0)
      return false;
    from_.resize(m.msg_namelen);
    tell_dropped_before(m);
    setup_.to->send(datagram{now(), on_way_.take(std::string_view(buffer_.data(), static_cast<std::size_t>(size))),
                             fmt::format("{}:{}", from_.address().to_string(), from_.port())});
    return true;
  }

  // As it was when this datagram was queued; comes with one once it is not 0.
  void tell_dropped_before(msghdr& m) {
    for (auto* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
        continue;
      std::uint32_t total = 0;
      std::memcpy(&total, CMSG_DATA(c), sizeof total);
      tell_dropped(total);
    }
  }

  // As it is now: the same count.
  void tell_dropped() {
    std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) == 0 && size == sizeof info)
      tell_dropped(info[SK_MEMINFO_DROPS]);
  }

  // The count is the socket's, 32 bits wide, and goes round. One that a datagram brings may be older than what is told.
  void tell_dropped(std::uint32_t total) {
    if (static_cast<std::int32_t>(total - dropped_) <= 0)
      return;
    setup_.to->send(unheard{total - std::exchange(dropped_, total)});
  }

  intake_setup setup_;
  config::udp_server_source settings_;
  udp::socket socket_;
  udp::endpoint from_;
  boost::asio::steady_timer timer_;
  std::string buffer_;
  on_way on_way_{most_on_way};
  std::uint32_t dropped_ = 0;  // by the kernel, as last told
};

} // namespace

std::unique_ptr<intake> make_udp_server(intake_setup s) { return make_io_intake<receiver>(std::move(s)); }

} // namespace holdfast::acquisition
