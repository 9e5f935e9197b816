#include "services/acquisition/io_intake.hpp"
#include "services/acquisition/redial.hpp"
#include "services/acquisition/stream_intake.hpp"

#include <boost/asio/serial_port.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using boost::asio::serial_port;
using boost::system::error_code;
using clock = std::chrono::steady_clock;
using serial_conversation = stream_conversation<serial_port>;

constexpr auto retry = 1000ms;
constexpr auto look = 200ms;

void configure(serial_port& port, const config::serial_line& line) {
  using base = boost::asio::serial_port_base;
  port.set_option(base::baud_rate(line.baud));
  port.set_option(base::character_size(line.data_bits));
  port.set_option(base::parity(line.parity == 'E'   ? base::parity::even
                               : line.parity == 'O' ? base::parity::odd
                                                    : base::parity::none));
  port.set_option(base::stop_bits(line.stop_bits == 2 ? base::stop_bits::two : base::stop_bits::one));
  port.set_option(base::flow_control(base::flow_control::none));
}

/// Opens the line, and again when it disappears (USB adapters do); lives in the io loop's thread.
class line_keeper : public std::enable_shared_from_this<line_keeper> {
public:
  explicit line_keeper(intake_setup s)
      : setup_(std::move(s)), settings_(std::get<config::serial_source>(setup_.settings.kind)),
        timer_(setup_.ctx->rt.io().context()) {}

  void open() {
    if (stopped_)
      return;
    try {
      serial_port port(setup_.ctx->rt.io().context());
      port.open(settings_.line.device);
      configure(port, settings_.line);
      open_ = std::make_shared<serial_conversation>(setup_, std::move(port), settings_.line.device,
                                                    frame_gap(settings_.framing));
      redial_.began(clock::now());
      tell("open", fmt::format("{} {} baud", settings_.line.device, settings_.line.baud), true);
      setup_.to->send(connected{open_});
      again(look);
    } catch (const boost::system::system_error& e) {
      tell("failing", fmt::format("failed to open {}: {}", settings_.line.device, e.code().message()), false);
      again(retry);
    }
  }

  void stop() {
    stopped_ = true;
    timer_.cancel();
    if (open_)
      open_->close("source stops");
  }

private:
  void tell(const char* state, const std::string& detail, bool healthy) {
    setup_.to->send(intake_state{"source:" + setup_.settings.name, state, detail, healthy});
  }

  void again(std::chrono::milliseconds wait) {
    timer_.expires_after(wait);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec || self->stopped_)
        return;
      if (self->open_ && !self->open_->closed())
        return self->again(look);
      const auto over = std::exchange(self->open_, nullptr);
      if (!over || self->redial_.ended(over->heard(), clock::now()))
        return self->open();
      self->tell("failing", fmt::format("failed to read {}: {}", self->settings_.line.device, over->cause()), false);
      self->again(std::max(retry, self->redial_.wait(1)));
    });
  }

  intake_setup setup_;
  config::serial_source settings_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<serial_conversation> open_;
  redial redial_;
  bool stopped_ = false;
};

} // namespace

std::unique_ptr<intake> make_serial(intake_setup s) { return make_io_intake<line_keeper>(std::move(s)); }

} // namespace holdfast::acquisition
