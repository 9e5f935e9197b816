#pragma once

#include "common/net/io_loop.hpp"
#include "services/acquisition/intake.hpp"

#include <memory>

namespace holdfast::acquisition {

/// An intake whose work is done by an object of the io loop's thread with open() and stop().
template <class Inner> class io_intake final : public intake {
public:
  io_intake(net::io_loop& io, std::shared_ptr<actor::slot> to, std::shared_ptr<Inner> inner)
      : io_(io), to_(std::move(to)), inner_(std::move(inner)) {}
  ~io_intake() override { io_intake::stop(); }
  void start() override {
    io_.post([i = inner_] { i->open(); });
  }
  void stop() override {
    io_.post([&io = io_, to = to_, i = inner_] {
      i->stop();
      io.post([to] { to->send(intake_ended{}); });  // behind what closing its conversations has posted
    });
  }

private:
  net::io_loop& io_;
  std::shared_ptr<actor::slot> to_;
  std::shared_ptr<Inner> inner_;
};

/// The intake around an Inner that is made from the setup alone.
template <class Inner> std::unique_ptr<intake> make_io_intake(intake_setup s) {
  auto& io = s.ctx->rt.io();
  auto to = s.to;
  return std::make_unique<io_intake<Inner>>(io, std::move(to), std::make_shared<Inner>(std::move(s)));
}

} // namespace holdfast::acquisition
