#include "services/acquisition/io_intake.hpp"

#include "common/telemetry/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using boost::asio::ip::udp;
using boost::system::error_code;

constexpr auto bind_retry = 1000ms;
constexpr int receive_buffer = 4 << 20;  // bursts wait in the kernel while a batch is on its way

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

  void receive() {
    buffer_.resize(settings_.max_datagram.count + 1);  // one more byte tells a datagram that is too long
    socket_.async_receive_from(boost::asio::buffer(buffer_), from_, [self = shared_from_this()](error_code ec, std::size_t n) {
      if (ec == boost::asio::error::operation_aborted || ec == boost::asio::error::bad_descriptor)
        return;
      if (!ec)
        self->setup_.to->send(datagram{now(), blob(std::string(self->buffer_.data(), n)),
                                       fmt::format("{}:{}", self->from_.address().to_string(), self->from_.port())});
      self->receive();
    });
  }

  intake_setup setup_;
  config::udp_server_source settings_;
  udp::socket socket_;
  udp::endpoint from_;
  boost::asio::steady_timer timer_;
  std::string buffer_;
};

} // namespace

std::unique_ptr<intake> make_udp_server(intake_setup s) { return make_io_intake<receiver>(std::move(s)); }

} // namespace holdfast::acquisition
