#include "common/net/io_loop.hpp"

#include "common/telemetry/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <future>
#include <thread>

namespace holdfast::net {

using namespace std::chrono_literals;

struct io_loop::impl {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  boost::asio::steady_timer timer{context};
  std::shared_ptr<pulse::loop> beat;
  std::thread thread;

  void tick() {
    beat->beat();
    timer.expires_after(500ms);
    timer.async_wait([this](boost::system::error_code ec) {
      if (!ec)
        tick();
    });
  }

  // A handler's exception must not end the process: the connection it came from is gone, the others go on.
  void run() {
    for (;;) {
      try {
        context.run();
        return;
      } catch (const std::exception& e) {
        log::error("connection handler failed cause=\"{}\"", e.what());
      }
    }
  }
};

io_loop::io_loop(pulse& p, std::string name) : impl_(std::make_unique<impl>()) {
  impl_->beat = p.add(std::move(name), 2s);
  impl_->tick();
  impl_->thread = std::thread([i = impl_.get()] { i->run(); });
}

io_loop::~io_loop() {
  impl_->context.stop();
  impl_->thread.join();
}

boost::asio::io_context& io_loop::context() noexcept { return impl_->context; }

void io_loop::post(std::function<void()> work) { boost::asio::post(impl_->context, std::move(work)); }

void io_loop::run_and_wait(std::function<void()> work) {
  std::promise<void> done;
  post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

} // namespace holdfast::net
