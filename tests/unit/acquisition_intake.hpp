#pragma once

// A source's intake on the real io loop, with an actor in SOURCE's place. From sources only: it pulls in CAF.

#include "actor_world.hpp"
#include "common/net/io_loop.hpp"
#include "services/acquisition/intake.hpp"
#include "storage_support.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace test {

namespace acquisition = holdfast::acquisition;

/// A source's intake, and what it brings. Of itself it says "STATE DETAIL;" each time.
struct source {
  struct brought {
    std::string said;
    std::uint64_t datagrams = 0, bytes = 0, lost = 0;
    bool ended = false;
  };

  temporary_directory dir;
  actor_world w;
  holdfast::service::runtime rt{"acquisition", "acquisition", in(dir.path("run")), w.system()};
  std::shared_ptr<acquisition::context> ctx{new acquisition::context{rt}};
  std::shared_ptr<holdfast::actor::slot> slot = std::make_shared<holdfast::actor::slot>();
  std::shared_ptr<brought> got = std::make_shared<brought>();
  std::unique_ptr<acquisition::intake> field;

  source(holdfast::config::source settings,
         std::unique_ptr<acquisition::intake> (*make)(acquisition::intake_setup)) {
    // CAF 0.17 binds a reference to nothing when it starts an actor without arguments, hence the number.
    auto reader = w.own(w.system().spawn([got = got](caf::event_based_actor*, int) -> caf::behavior {
      return {
        [](const acquisition::connected& c) { c.with->resume(); },
        [](const acquisition::received& r) { r.from->resume(); },
        [](const acquisition::disconnected&) {},
        [got](const acquisition::datagram& d) {
          ++got->datagrams;
          got->bytes += d.bytes.size();
        },
        [got](const acquisition::unheard& u) { got->lost += u.count; },
        [got](const acquisition::intake_ended&) { got->ended = true; },
        [got](const acquisition::intake_state& s) { got->said += s.state + " " + s.detail + ";"; },
      };
    }, 0));
    slot->set(reader);
    field = make({ctx, slot, std::move(settings)});
    field->start();
  }
  ~source() {
    field = nullptr;
    slot->set(nullptr);
    rt.io().run_and_wait([] {});
    w.run();  // what is in the mailbox holds sockets, and they must go before the io loop
  }
  /// Lets it work until that is so.
  bool until(const std::function<bool()>& so) {
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10); !so();) {
      if (std::chrono::steady_clock::now() > end)
        return false;
      std::this_thread::yield();
      w.run();
    }
    return true;
  }
  bool says(const std::string& what) {
    return until([&] { return got->said.find(what) != std::string::npos; });
  }
  /// The io loop has looked at its sockets since, and SOURCE at nothing.
  void io_turn() {
    for (int n = 0; n < 3; ++n)
      rt.io().run_and_wait([] {});
  }
  /// A gateway that runs there.
  static holdfast::config::gateway in(const std::string& directory) {
    std::filesystem::create_directories(directory);
    holdfast::config::gateway g;
    g.run_directory = directory;
    return g;
  }
};

} // namespace test
