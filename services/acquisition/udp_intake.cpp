#include "services/acquisition/io_intake.hpp"
#include "services/acquisition/on_way.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <sys/socket.h>

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
    if (on_way_.full())
      return after_pause();
    socket_.async_wait(udp::socket::wait_read, [self = shared_from_this()](error_code ec) {
      if (ec == boost::asio::error::operation_aborted || ec == boost::asio::error::bad_descriptor)
        return;
      for (int n = 0; n < datagrams_per_turn && !self->on_way_.full() && self->take_one(); ++n)
        ;
      self->receive();
    });
  }

  void after_pause() {
    timer_.expires_after(look_again);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec)
        self->receive();
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
    setup_.to->send(datagram{now(), on_way_.take(std::string_view(buffer_.data(), static_cast<std::size_t>(size))),
                             fmt::format("{}:{}", from_.address().to_string(), from_.port()), dropped_before(m)});
    return true;
  }

  // The count is the socket's, 32 bits wide, and comes with a datagram once it is not 0.
  std::uint32_t dropped_before(msghdr& m) {
    for (auto* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
        continue;
      std::uint32_t total = 0;
      std::memcpy(&total, CMSG_DATA(c), sizeof total);
      return total - std::exchange(dropped_, total);
    }
    return 0;
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
